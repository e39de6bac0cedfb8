// The npm packages co-wechat-api and wechat-api as a program written for WeChat uses them: unmodified,
// with another host and another secret. Which one stands in the first argument, how it is set up in
// the second.
'use strict';

const { writeFileSync } = require('node:fs');
const { promisify } = require('node:util');

const { serve } = require('./lines.cjs');

const [name, setUp] = process.argv.slice(2);
const { host, appid, secret } = JSON.parse(setUp);

// Everything the move to lingpai takes is in this table: the host goes where the package keeps it.
const packages = {
  'co-wechat-api': () => {
    const API = require('co-wechat-api');
    const api = new API(appid, secret);
    api.prefix = `${host}/cgi-bin/`;
    return (method, ...args) => api[method](...args);
  },
  'wechat-api': () => {
    const API = require('wechat-api');
    const api = new API(appid, secret);
    // `setEndpoint` does the same with `https://` before it.
    api.endpoint = host;
    return (method, ...args) => promisify(api[method]).apply(api, args);
  },
};
const call = packages[name]();

const tasks = {
  fans: async () => (await call('getFollowers')).data.openid,
  fan: ({ openid }) => call('getUser', { openid, lang: 'zh_CN' }),
  several_fans: ({ openids }) => call('batchGetUsers', openids),
  create_menu: ({ menu }) => call('createMenu', menu),
  menu: () => call('getMenu'),
  delete_menu: () => call('removeMenu'),
  upload: ({ path }) => call('uploadMedia', path, 'image'),
  download: async ({ media_id, path }) => {
    const bytes = await call('getMedia', media_id);
    writeFileSync(path, bytes);
    return { bytes: bytes.length };
  },
  send_text: ({ openid, text }) => call('sendText', openid, text),
  // The clock that the packages see goes on by so much.
  later: async ({ secs }) => {
    global.Date = class extends Date {
      constructor(...parts) {
        super(...(parts.length ? parts : [Date.now()]));
      }
      static now() {
        return super.now() + secs * 1000;
      }
    };
    return {};
  },
};

serve(tasks);
