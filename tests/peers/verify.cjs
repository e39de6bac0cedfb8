// The npm package svix as a receiver of webhooks uses it. One JSON object a line in: `secret`, `headers`
// and `payload` of a webhook; one a line out: what it read, or why it refused.
'use strict';

const { createInterface } = require('node:readline');
const { Webhook } = require('svix');

function verify({ secret, headers, payload }) {
  try {
    return { payload: new Webhook(secret).verify(payload, headers) };
  } catch (error) {
    return { refused: error.message };
  }
}

async function main() {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(verify(JSON.parse(line)))}\n`);
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
