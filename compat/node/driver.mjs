// ioredis or node-redis, standalone or cluster, let loose on a server. See compat/clients.py for
// what is said on standard input and output.
//
//   node driver.mjs ioredis|node-redis standalone|cluster HOST:PORT ...

import { createInterface } from "node:readline";
import { Cluster, Redis } from "ioredis";
import { createClient, createCluster } from "redis";

const [library, mode, ...addresses] = process.argv.slice(2);
const nodes = addresses.map((text) => {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
});

async function ioredis() {
  const client = mode === "cluster"
    ? new Cluster(nodes, { slotsRefreshInterval: 1000, clusterRetryStrategy: () => 100 })
    : new Redis(nodes[0]);
  client.on("error", () => {});
  await client.ping();
  return {
    client,
    call: (name, ...words) => client.call(name, ...words),
    set: (key, value) => client.set(key, value),
    get: (key) => client.get(key),
    binary: async (key, value) => {
      await client.set(key, value);
      return client.getBuffer(key);
    },
    pipeline: async (keys) => {
      // Its cluster client takes a pipeline of one slot only.
      if (mode === "cluster") return Promise.all(keys.map((key) => client.incr(key)));
      const pipeline = client.pipeline();
      for (const key of keys) pipeline.incr(key);
      return (await pipeline.exec()).map(([wrong, value]) => wrong ?? value);
    },
    scan: async (pattern) => {
      const found = new Set();
      for (const one of mode === "cluster" ? client.nodes("master") : [client]) {
        for await (const keys of one.scanStream({ match: pattern, count: 100 })) {
          for (const key of keys) found.add(key);
        }
      }
      return found.size;
    },
    transaction: async (key) =>
      (await client.multi().set(key, "1").incr(key).exec()).map(([, value]) => value),
    subscribe: async (channel, message) => {
      const other = mode === "cluster"
        ? new Cluster(nodes) : new Redis(nodes[nodes.length - 1]);
      const received = new Promise((done) => other.on("message", (_, text) => done(text)));
      await other.subscribe(channel);
      await client.publish(channel, message);
      const text = await received;
      other.disconnect();
      return text;
    },
    close: () => client.disconnect(),
  };
}

// node-redis runs no command twice that it has written; this lets it not even connect again.
const once = process.env.COMPAT_RETRIES === "off" ? { socket: { reconnectStrategy: false } } : {};

async function nodeRedis() {
  const url = (node) => ({ url: `redis://${node.host}:${node.port}` });
  const client = mode === "cluster"
    ? createCluster({
        rootNodes: nodes.map(url),
        // How long it tries a lost node before it asks the others; by default five seconds.
        topologyRefreshOnReconnectionAttemptStrategy: 200,
      })
    : createClient({ ...url(nodes[0]), ...once });
  client.on("error", () => {});
  await client.connect();
  return {
    client,
    call: (name, ...words) => mode === "cluster"
      ? client.sendCommand(words[0], false, [name, ...words])
      : client.sendCommand([name, ...words]),
    set: (key, value) => client.set(key, value),
    get: (key) => client.get(key),
    binary: async (key, value) => {
      const { RESP_TYPES } = await import("redis");
      await client.set(key, value);
      return client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get(key);
    },
    pipeline: (keys) => Promise.all(keys.map((key) => client.incr(key))),
    scan: async (pattern) => {
      const found = new Set();
      const all = mode === "cluster"
        ? await Promise.all(client.masters.map((one) => client.nodeClient(one))) : [client];
      for (const one of all) {
        for await (const keys of one.scanIterator({ MATCH: pattern, COUNT: 100 })) {
          for (const key of [keys].flat()) found.add(key);
        }
      }
      return found.size;
    },
    transaction: (key) => client.multi().set(key, "1").incr(key).exec(),
    subscribe: async (channel, message) => {
      const other = mode === "cluster"
        ? createCluster({ rootNodes: nodes.map(url) }) : createClient(url(nodes[nodes.length - 1]));
      other.on("error", () => {});
      await other.connect();
      const received = new Promise((done) => other.subscribe(channel, done).then(
        () => client.publish(channel, message),
      ));
      const text = await received;
      await other.close();
      return text;
    },
    close: () => client.destroy(),
  };
}

const say = (word, value) => process.stdout.write(`${word} ${JSON.stringify(value)}\n`);

// What each check must give. Keys of one transaction have one slot.
const CHECKS = {
  "set and get": async (to) => [await to.set("c:a", "hello"), await to.get("c:a")],
  "an absent key": async (to) => await to.get("c:none"),
  "bytes": async (to) => (await to.binary("c:b", Buffer.from([0, 195, 169, 13, 10]))).toString("hex"),
  "four thousand in a pipeline": async (to) => {
    const keys = Array.from({ length: 4000 }, (_, i) => `c:p:${i % 1000}`);
    return (await to.pipeline(keys)).reduce((sum, value) => sum + value, 0);
  },
  "scan": async (to) => await to.scan("c:p:*"),
  "time to live": async (to) => [
    await to.call("EXPIRE", "c:a", "100"), (await to.call("TTL", "c:a")) > 90,
  ],
  "an error": async (to) => {
    try {
      return await to.call("INCR", "c:a");
    } catch (wrong) {
      return wrong.message;
    }
  },
  "a transaction": async (to) => await to.transaction("c:t"),
  "publish and subscribe": async (to) => await to.subscribe("c:news", "hello"),
};

const to = await (library === "ioredis" ? ioredis() : nodeRedis());
const found = {};
for (const [name, check] of Object.entries(CHECKS)) {
  try {
    found[name] = await Promise.race([
      check(to),
      new Promise((_, late) => setTimeout(() => late(new Error("no answer in 20 s")), 20_000)),
    ]);
  } catch (wrong) {
    found[name] = `${wrong.name}: ${wrong.message}`;
  }
}
say("checked", found);

// Load until asked to stop: eight loops, each writes and reads back its own keys.
const sum = { writes: 0, errors: 0, wrong: 0, longest_gap_ms: 0, missing: 0, said: {} };
const written = new Map();
let isOver = false;
let last = performance.now();
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "stop") isOver = true;
});

async function load(name) {
  for (let i = 0; !isOver; i++) {
    const key = `l:${process.pid}:${name}:${i % 200}`;
    try {
      await to.set(key, String(i));
      written.set(key, i);
      sum.writes += 1;
      const now = performance.now();
      sum.longest_gap_ms = Math.max(sum.longest_gap_ms, Math.round(now - last));
      last = now;
      if (Number(await to.get(key)) < i) sum.wrong += 1;
    } catch (wrong) {
      // Whether it was written is not known.
      written.delete(key);
      sum.errors += 1;
      sum.said[wrong.message.slice(0, 80)] = (sum.said[wrong.message.slice(0, 80)] ?? 0) + 1;
      await new Promise((done) => setTimeout(done, 20));
    }
    await new Promise((done) => setTimeout(done, 2));
  }
}

say("loading", null);
await Promise.all(Array.from({ length: 8 }, (_, i) => load(i)));
for (const [key, value] of written) {
  if (Number(await to.get(key)) < value) sum.missing += 1;
}
say("done", sum);
to.close();
process.exit(0);
