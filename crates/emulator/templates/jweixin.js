// The emulator's stand-in for the JS-SDK: it checks the signature of the page and does nothing else.
(function (page) {
  "use strict";

  var own = document.currentScript.src;
  var outcome = null;
  var waiting = { ready: [], error: [] };

  function isReady() {
    return outcome === "config:ok";
  }

  function settle(errMsg) {
    outcome = errMsg;
    waiting[isReady() ? "ready" : "error"].forEach(function (then) {
      then({ errMsg: errMsg });
    });
  }

  function when(name, fits) {
    return function (then) {
      waiting[name].push(then);
      if (outcome !== null && fits()) {
        then({ errMsg: outcome });
      }
    };
  }

  page.wx = page.jWeixin = {
    config: function (config) {
      outcome = null;
      var asked = new URLSearchParams({
        appId: config.appId,
        timestamp: String(config.timestamp),
        nonceStr: config.nonceStr,
        signature: config.signature,
        url: page.location.href.split("#")[0],
      });
      page
        .fetch(new URL("verify?" + asked, own))
        .then(function (answer) {
          return answer.json();
        })
        .then(
          function (answer) {
            settle(answer.errMsg);
          },
          function () {
            settle("config:fail");
          },
        );
    },
    ready: when("ready", isReady),
    error: when("error", function () {
      return !isReady();
    }),
    checkJsApi: function (asked) {
      var result = {};
      asked.jsApiList.forEach(function (name) {
        result[name] = isReady();
      });
      asked.success({ checkResult: result, errMsg: "checkJsApi:ok" });
    },
  };
})(window);
