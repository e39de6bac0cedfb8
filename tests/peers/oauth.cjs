// npm's co-wechat-oauth as a program written for WeChat uses it: unmodified, with another host and
// another secret. Its set-up is one JSON argument.
'use strict';

const OAuth = require('co-wechat-oauth');

const { serve } = require('./lines.cjs');

const { host, appid, secret } = JSON.parse(process.argv[2]);
const oauth = new OAuth(appid, secret);

// Everything the move to lingpai takes: the package writes the two hosts where it uses them.
const moved = (url) => url.replace(/^https:\/\/(api|open)\.weixin\.qq\.com/, host);
const request = oauth.request.bind(oauth);
oauth.request = (url, options) => request(moved(url), options);

const tasks = {
  way_in: ({ redirect_uri, state, scope }) =>
    moved(oauth.getAuthorizeURL(redirect_uri, state, scope)),
  exchange: async ({ code }) => (await oauth.getAccessToken(code)).data,
  refresh: async ({ refresh_token }) => (await oauth.refreshAccessToken(refresh_token)).data,
  fan: ({ openid }) => oauth.getUser({ openid, lang: 'zh_CN' }),
  check: async ({ openid, access_token }) =>
    (await oauth.verifyToken(openid, access_token)).errcode === 0,
};

serve(tasks);
