"""Prints the finals of one call as they come and misses none: `python subscribe.py CALL_SID` (pip install redis).

`--sharded`: by the channels of shards, where the servers' PUBSUB is `sharded`; REDIS_URL is any node of the cluster.
"""

import json
import os
import sys
import time
from pathlib import Path

import redis

OURS = f"unix://{Path.home()}/.local/share/transcriber/redis/redis.sock"
call_sid, seen = sys.argv[1], "0-0"
sharded = "--sharded" in sys.argv
connect = redis.RedisCluster.from_url if sharded else redis.Redis.from_url
client = connect(os.environ.get("REDIS_URL", OURS), decode_responses=True)
channels = client.pubsub()
while True:
    try:
        if sharded:
            channels.ssubscribe(f"transcripts:{{{call_sid}}}:final", f"transcripts:{{{call_sid}}}:event")
        else:
            channels.subscribe(f"transcripts:{call_sid}:final", f"transcripts:{call_sid}:event")
        while True:
            # News, a confirmation (after a reconnect, too) or five quiet seconds: the stream knows what is new.
            channels.get_sharded_message(timeout=5) if sharded else channels.get_message(timeout=5)
            event = {}
            for entry, fields in client.xrange(f"transcripts:{{{call_sid}}}:events", min=f"({seen}"):
                seen, event = entry, json.loads(fields["event"])
                if event["type"] == "final":
                    print(f"{event['start_ms'] / 1000:7.2f}  {event['speaker']}: {event['text']}", flush=True)
            if event.get("type") == "call.ended":  # and nothing after it: a call may be resumed
                sys.exit()
    except (redis.ConnectionError, redis.TimeoutError) as error:
        print(f"Redis is away ({error})", file=sys.stderr, flush=True)
        time.sleep(1)
