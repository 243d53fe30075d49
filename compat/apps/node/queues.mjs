// A queue's producer or worker. A producer reads job numbers from standard input, one a line, and
// answers each with "ok" or with what went wrong. A worker appends what it has done to the ledger.
//
//   node queues.mjs bull|bullmq|bee-queue produce|work HOST:PORT

import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [library, role, address] = process.argv.slice(2);
const at = address.lastIndexOf(":");
const redis = { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
const done = (number) => appendFileSync(process.env.LEDGER, `${number}\n`);

// A lost connection comes as an event; without a listener it would end the process.
const quiet = (one) => one.on("error", (wrong) => console.error(wrong.message));

const LIBRARIES = {
  bull: async () => {
    const { default: Bull } = await import("bull");
    const queue = quiet(new Bull("jobs", {
      redis, settings: { stalledInterval: 2000, lockDuration: 4000, maxStalledCount: 10 },
    }));
    return {
      produce: (number) => queue.add({ number }, { attempts: 5, removeOnComplete: true }),
      work: () => queue.process(2, async (job) => done(job.data.number)),
    };
  },
  bullmq: async () => {
    const { Queue, Worker } = await import("bullmq");
    const connection = { ...redis, maxRetriesPerRequest: null };
    if (role === "work") {
      return {
        work: () => quiet(new Worker("jobs", async (job) => done(job.data.number), {
          connection, concurrency: 2, stalledInterval: 2000, lockDuration: 4000,
          maxStalledCount: 10,
        })),
      };
    }
    const queue = quiet(new Queue("jobs", { connection }));
    return { produce: (number) => queue.add("job", { number }, { attempts: 5 }) };
  },
  "bee-queue": async () => {
    const { default: Bee } = await import("bee-queue");
    const queue = quiet(new Bee("jobs", {
      redis, isWorker: role === "work", getEvents: false, sendEvents: false,
      stallInterval: 4000, removeOnSuccess: true,
    }));
    return {
      produce: (number) => queue.createJob({ number }).retries(5).save(),
      work: () => {
        queue.checkStalledJobs(2000, () => {});
        queue.process(2, async (job) => done(job.data.number));
      },
    };
  },
};

const program = await LIBRARIES[library]();
if (role === "work") {
  await program.work();
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      await program.produce(Number(line));
      console.log("ok");
    } catch (wrong) {
      console.log(wrong.message.split("\n")[0]);
    }
  }
  process.exit(0);
}
