// Prints the finals of one call as they come and misses none: `npm install && node subscribe.mjs CALL_SID`.
import { homedir } from "node:os";
import { createClient } from "redis";

const path = `${homedir()}/.local/share/transcriber/redis/redis.sock`;
const where = process.env.REDIS_URL ? { url: process.env.REDIS_URL } : { socket: { path: process.env.REDIS_SOCKET ?? path } };
const callSid = process.argv[2];
let seen = "0-0";
let reading = Promise.resolve();

const client = createClient({ ...where, disableOfflineQueue: true });
const channels = client.duplicate({ disableOfflineQueue: false });
for (const each of [client, channels]) each.on("error", (error) => console.error(`Redis is away (${error.message})`));

// Whatever wakes us, the stream knows what is new. One reading at a time keeps the order.
const wake = () => (reading = reading.then(read).catch(() => {}));

async function read() {
  const entries = await client.xRange(`transcripts:{${callSid}}:events`, `(${seen}`, "+");
  let event = {};
  for (const { id, message } of entries) {
    seen = id;
    event = JSON.parse(message.event);
    if (event.type === "final") console.log(`${(event.start_ms / 1000).toFixed(2).padStart(7)}  ${event.speaker}: ${event.text}`);
  }
  if (event.type === "call.ended") process.exit(0); // and nothing after it: a call may be resumed
}

client.on("ready", wake);
channels.on("ready", wake);
await Promise.all([client.connect(), channels.connect()]);
await channels.subscribe([`transcripts:${callSid}:final`, `transcripts:${callSid}:event`], wake);
setInterval(wake, 5000); // a cut cable says nothing
wake();
