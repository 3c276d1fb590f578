"use strict";
(function () {
  var page = JSON.parse(document.getElementById("page").textContent);
  var started = false;

  function later(run, ms) { window.setTimeout(run, ms); }

  function whenReady(name, event, run) {
    if (window[name]) { run(); } else { document.addEventListener(event, run, false); }
  }

  function start() {
    var sheet = page.client_params;
    if (page.pay_url) { window.location.assign(page.pay_url); return; }
    if (!sheet) { return; }
    started = true;
    if (page.wallet === "wechat") {
      whenReady("WeixinJSBridge", "WeixinJSBridgeReady", function () {
        window.WeixinJSBridge.invoke("getBrandWCPayRequest", sheet, look);
      });
    } else if (page.wallet === "alipay") {
      whenReady("AlipayJSBridge", "AlipayJSBridgeReady", function () {
        window.AlipayJSBridge.call("tradePay", sheet, look);
      });
    } else if (page.wallet === "unionpay") {
      if (sheet.redirectUrl) { window.location.assign(sheet.redirectUrl); return; }
      whenReady("upsdk", "upsdkReady", function () {
        window.upsdk.pay({ tn: sheet.tn, success: look, fail: look });
      });
    }
  }

  function look() {
    window.fetch(page.status_url, { credentials: "same-origin", cache: "no-store" })
      .then(function (answer) { return answer.ok ? answer.json() : null; })
      .then(function (now) {
        if (now && (now.status !== page.status || now.attempt !== page.attempt)) {
          window.location.replace(page.page_url);
        }
      })
      .catch(function () { return null; });
  }

  function poll() {
    look();
    later(poll, page.poll_ms);
  }

  var again = document.getElementById("again");
  if (again) { again.addEventListener("click", start); }
  if (page.starts && !started) { start(); }
  if (page.poll_ms) { later(poll, page.poll_ms); }
})();
