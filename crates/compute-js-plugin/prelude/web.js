// The web's classes for bodies, requests and streams: a script of its own, which libraries.js has loaded.

import * as streams from "web-streams-polyfill";

import { define } from "./globals.js";
import { Blob, File } from "./web/blob.js";
import { MessageChannel, MessageEvent, MessagePort } from "./web/channel.js";
import { CompressionStream, DecompressionStream } from "./web/compression.js";
import { FormData } from "./web/form.js";
import { Headers } from "./web/headers.js";
import { Request, Response } from "./web/messages.js";
import { TextDecoderStream, TextEncoderStream } from "./web/text.js";

define(globalThis, {
  ...streams,
  Blob,
  CompressionStream,
  DecompressionStream,
  File,
  FormData,
  Headers,
  MessageChannel,
  MessageEvent,
  MessagePort,
  Request,
  Response,
  TextDecoderStream,
  TextEncoderStream,
});
