import { op } from "@compute/op";
import dayjs from "dayjs";
import utc from "dayjs/plugin/utc.js";
import duration from "dayjs/plugin/duration.js";
dayjs.extend(utc);
dayjs.extend(duration);
export default op(() => [dayjs.utc("2026-01-31").add(1, "month").format("YYYY-MM-DD"), dayjs.duration({ hours: 30 }).asDays(), dayjs.utc("2026-11-24").diff("2026-11-01", "day")]);
