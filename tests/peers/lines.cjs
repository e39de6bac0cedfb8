// How a peer is talked to: one JSON object a line in, one a line out. What the package raises with a
// number of WeChat's is told as a refusal; anything else ends the peer.
'use strict';

const { createInterface } = require('node:readline');

async function answer(tasks, line) {
  const asked = JSON.parse(line);
  try {
    return { answer: await tasks[asked.do](asked) };
  } catch (error) {
    if (typeof error.code !== 'number') throw error;
    return { refused: error.code, why: error.message };
  }
}

async function talk(tasks) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(tasks, line))}\n`);
  }
  // Connections that are kept alive do not keep the process.
  process.exit(0);
}

// Does the tasks that are asked for, until nobody asks any more.
exports.serve = (tasks) =>
  talk(tasks).catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
