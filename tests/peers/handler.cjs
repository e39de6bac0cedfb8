// The npm package co-wechat as the message handler of an account's own server: unmodified, in koa, as
// its documents show it. Its set-up is one JSON argument. One JSON object a line in, one a line out.
'use strict';

const { createInterface } = require('node:readline');
const Koa = require('koa');
const wechat = require('co-wechat');

const { token, encoding_aes_key: encodingAESKey, appid } = JSON.parse(process.argv[2]);
const seen = [];

// What the account says.
function answer(message) {
  if (message.MsgType === 'event') return message.Event === 'subscribe' ? '欢迎' : '';
  switch (message.Content) {
    case '图片':
      return { type: 'image', content: { mediaId: 'm1' } };
    case '图文':
      return [{ title: '目录', description: '', picurl: '', url: 'https://shop.example/' }];
    case '安静':
      return '';
    default:
      return `收到：${message.Content}`;
  }
}

const app = new Koa();
app.use(
  wechat({ token, appid, encodingAESKey }).middleware(async (message) => {
    seen.push(message.MsgType);
    return answer(message);
  }),
);

async function main() {
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const tasks = { listen: () => ({ port: server.address().port }), seen: () => seen };
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(tasks[JSON.parse(line).do]())}\n`);
  }
  process.exit(0);
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
