import { op } from "@compute/op";
import { addMonths, differenceInCalendarDays, format, parseISO, startOfWeek } from "date-fns";
export default op(() => [format(addMonths(parseISO("2026-01-31T00:00:00Z"), 1), "yyyy-MM-dd EEEE"), differenceInCalendarDays(parseISO("2026-03-01"), parseISO("2026-02-01")), startOfWeek(parseISO("2026-11-24T00:00:00Z")).toISOString()]);
