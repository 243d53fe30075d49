// What a program for node does, its processes each at a node of their own. One program a run:
//
//   node checks.mjs PROGRAM HOST:PORT HOST:PORT HOST:PORT
//
// The last line it says is what it found, as JSON; it ends with 1 where it threw.

import { strict as assert } from "node:assert";
import { createServer } from "node:http";
import { Redis } from "ioredis";
import { createClient } from "redis";

const [program, ...addresses] = process.argv.slice(2);
const nodes = addresses.map((text) => {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
});
const after = (ms) => new Promise((done) => setTimeout(done, ms));

async function client(node) {
  const one = createClient({ url: `redis://${node.host}:${node.port}` });
  one.on("error", () => {});
  await one.connect();
  return one;
}

// Six loops that add to a number which only a lock protects.
async function underLock(lock) {
  let value = 0;
  await Promise.all([0, 1, 2, 0, 1, 2].map(async (index) => {
    for (let turn = 0; turn < 5; turn++) {
      await lock(index, async () => {
        const seen = value;
        await after(2);
        value = seen + 1;
      });
    }
  }));
  return value;
}

async function socketServers(adapter, connect) {
  const { Server } = await import("socket.io");
  const { io } = await import("socket.io-client");
  const servers = [];
  for (const node of nodes) {
    const publisher = await connect(node);
    const subscriber = await connect(node);
    const http = createServer();
    const server = new Server(http, { adapter: adapter(publisher, subscriber) });
    server.on("connection", (socket) => socket.on("join", (room, done) => {
      socket.join(room);
      done();
    }));
    await new Promise((done) => http.listen(0, "127.0.0.1", done));
    servers.push({ server, url: `http://127.0.0.1:${http.address().port}` });
  }
  const clients = servers.map(({ url }) => io(url, { transports: ["websocket"] }));
  await Promise.all(clients.map((one) => new Promise((done) => one.on("connect", done))));
  await after(500);
  const all = clients.map((one) => new Promise((done) => one.once("hello", done)));
  servers[0].server.emit("hello", "all");
  assert.deepEqual(await Promise.all(all), ["all", "all", "all"]);
  await Promise.all(clients.slice(1).map((one) => new Promise((done) => one.emit("join", "r", done))));
  await after(500);
  const room = clients.slice(1).map((one) => new Promise((done) => one.once("room", done)));
  servers[0].server.to("r").emit("room", 7);
  assert.deepEqual(await Promise.all(room), [7, 7]);
  return (await servers[1].server.fetchSockets()).length;
}

const PROGRAMS = {
  "redlock": async () => {
    const { default: Redlock } = await import("redlock");
    const locks = nodes.map((node) => new Redlock([new Redis(node)], { retryCount: 500, retryDelay: 20 }));
    return underLock(async (index, work) => {
      const lock = await locks[index].lock("lock", 10_000);
      await lock.extend(10_000);
      await work();
      await lock.unlock();
    });
  },
  "@sesamecare-oss/redlock": async () => {
    const { Redlock } = await import("@sesamecare-oss/redlock");
    const locks = nodes.map((node) => new Redlock([new Redis(node)], { retryCount: 500, retryDelay: 20 }));
    return underLock((index, work) => locks[index].using(["{l}a", "{l}b"], 10_000, work));
  },
  "rate-limiter-flexible": async () => {
    const { RateLimiterRedis } = await import("rate-limiter-flexible");
    const limits = [
      ...nodes.slice(0, 2).map((node) => new RateLimiterRedis({ storeClient: new Redis(node), points: 50, duration: 60 })),
      new RateLimiterRedis({ storeClient: await client(nodes[2]), useRedisPackage: true, points: 50, duration: 60 }),
    ];
    const tries = await Promise.allSettled(
      Array.from({ length: 120 }, (_, index) => limits[index % 3].consume("ann")),
    );
    await limits[0].penalty("bob", 3);
    await limits[1].reward("bob", 1);
    const bob = (await limits[2].get("bob")).consumedPoints;
    await limits[0].delete("bob");
    return [tries.filter((one) => one.status === "fulfilled").length, bob, await limits[1].get("bob")];
  },
  "connect-redis": async () => {
    const { default: express } = await import("express");
    const { default: session } = await import("express-session");
    const { RedisStore } = await import("connect-redis");
    const urls = [];
    const stores = [];
    for (const node of nodes) {
      const store = new RedisStore({ client: await client(node) });
      const app = express();
      app.use(session({ store, secret: "s", resave: false, saveUninitialized: false }));
      app.get("/", (request, response) => {
        request.session.visits = (request.session.visits ?? 0) + 1;
        response.json(request.session.visits);
      });
      app.get("/leave", (request, response) => request.session.destroy(() => response.json(0)));
      const http = createServer(app);
      await new Promise((done) => http.listen(0, "127.0.0.1", done));
      urls.push(`http://127.0.0.1:${http.address().port}`);
      stores.push(store);
    }
    let cookie;
    const visit = async (url) => {
      const response = await fetch(url, { headers: cookie ? { cookie } : {} });
      cookie ??= response.headers.get("set-cookie").split(";")[0];
      return response.json();
    };
    const visits = [];
    for (let index = 0; index < 6; index++) visits.push(await visit(urls[index % 3]));
    const length = await stores[1].length();
    await visit(`${urls[1]}/leave`);
    return [visits, length, await visit(urls[2])];
  },
  "@socket.io/redis-adapter": async () => {
    const { createAdapter, createShardedAdapter } = await import("@socket.io/redis-adapter");
    return [
      await socketServers(createAdapter, (node) => new Redis(node)),
      await socketServers(createShardedAdapter, client),
    ];
  },
  "bee-queue": async () => {
    const { default: Bee } = await import("bee-queue");
    const [producer, ...workers] = nodes.map((redis, index) => new Bee("check", {
      redis, isWorker: index > 0, activateDelayedJobs: index === 1,
    }));
    for (const worker of workers) worker.process(3, async (job) => job.data.number * 2);
    const found = [];
    for (let number = 0; number < 50; number++) {
      const job = producer.createJob({ number }).retries(2);
      found.push(new Promise((done) => job.on("succeeded", done)));
      if (number % 10 === 0) job.delayUntil(Date.now() + 300);
      await job.save();
    }
    return (await Promise.all(found)).reduce((sum, one) => sum + one, 0);
  },
  "bull": async () => {
    const { default: Bull } = await import("bull");
    const [producer, ...workers] = nodes.map((redis) => new Bull("check", { redis }));
    for (const worker of workers) worker.process(2, async (job) => job.data.number * 2);
    const jobs = [];
    for (let number = 0; number < 50; number++) {
      jobs.push(await producer.add({ number }, {
        attempts: 3, delay: number % 10 === 0 ? 300 : 0, priority: number % 7 === 0 ? 2 : undefined,
      }));
    }
    const found = await Promise.all(jobs.map((job) => job.finished()));
    return [found.reduce((sum, one) => sum + one, 0), (await producer.getJobCounts()).completed];
  },
  "bullmq": async () => {
    const { FlowProducer, Queue, QueueEvents, Worker } = await import("bullmq");
    const queue = new Queue("check", { connection: nodes[0] });
    const events = new QueueEvents("check", { connection: nodes[1] });
    await events.waitUntilReady();
    for (const node of nodes.slice(1)) {
      const connection = { ...node, maxRetriesPerRequest: null };
      new Worker("check", async (job) => job.data.number * 2, { connection, concurrency: 4 })
        .on("error", (wrong) => console.error(wrong.message));
    }
    const jobs = [];
    for (let number = 0; number < 50; number++) {
      jobs.push(await queue.add("job", { number }, {
        attempts: 3, delay: number % 10 === 0 ? 300 : 0, priority: number % 7 === 0 ? 2 : undefined,
      }));
    }
    const found = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
    const flows = new FlowProducer({ connection: nodes[2] });
    const parent = await flows.add({
      name: "parent", queueName: "check", data: { number: 1 },
      children: [{ name: "child", queueName: "check", data: { number: 2 } }],
    });
    const flow = await parent.job.waitUntilFinished(events);
    return [found.reduce((sum, one) => sum + one, 0), flow, (await queue.getJobCounts()).completed];
  },
};

console.log(JSON.stringify(await PROGRAMS[program]()));
process.exit(0);
