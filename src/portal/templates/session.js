/* Warns before the session ends. Reading the state extends nothing. */
(function () {
'use strict';
var doc = document, own = 'script[data-inactivite][src$="/session.js"]',
  tag = doc.currentScript || doc.querySelector(own);
try { if (top !== self && top.document.querySelector(own)) return; } catch (e) {}
/* An element of the page's may be called octroi. */
if (!tag || self.octroi === 1 || self.origin === 'null') return;
self.octroi = 1;
/* The page's base element may lead to another site. */
var base = tag.src.slice(0, -11).replace(/^\w+:\/\/[^\/]+/, location.protocol + '//' + location.host),
  caf = tag.dataset.caf, idle = tag.dataset.inactivite, key = 'octroi-session',
  mute = 'Le réseau ou le service ne répond pas. ', limit = 'Elle a atteint sa durée maximale',
  end = 0, warn = 0, due = 0, read = 0, seen = 0, left = 0, quiet = 1e9,
  fixed, who, busy, lost, shut, timer, view, focused, title;

function count(n, unit) {
  return n ? n + ' ' + unit + (n > 1 ? 's ' : ' ') : '';
}
function span(s) {
  return count(Math.floor(s / 60), 'minute') + count(s % 60, 'seconde') || '0 seconde ';
}
function on(names, f) {
  names.split(' ').forEach(function (name) { self.addEventListener(name, f, name === 'keydown'); });
}
function say(e, text) {
  if (e.textContent !== text) e.textContent = text;
}
function el(parent, name, css, attrs, text) {
  var e = doc.createElement(name), a;
  e.style.cssText = css;
  for (a in attrs) e.setAttribute(a, attrs[a]);
  say(e, text || '');
  return parent.appendChild(e);
}
function close() {
  if (!view) return;
  if (view.host.parentNode) view.host.parentNode.removeChild(view.host);
  view = 0;
  if (focused) focused.focus();
}
/* Over everything, in a shadow that the page's style does not reach. */
function open(name, text, label, href) {
  var v = {}, box, frame, css = 'font:inherit;padding:8px 16px;margin-right:8px;border:2px solid;background:#0b3d70;color:#fff';
  close();
  focused = doc.activeElement;
  v.fixed = fixed;
  v.host = el(doc.documentElement, 'div', 'all:initial!important');
  v.root = v.host.attachShadow ? v.host.attachShadow({ mode: 'open' }) : v.host;
  frame = el(v.root, 'dialog', 'display:block;position:fixed;top:0;left:0;width:100%;height:100%;max-width:none;max-height:none;' +
    'margin:0;border:0;padding:0;z-index:2147483647;background:' + (href ? '#fff' : 'rgba(0,0,0,.6)'),
  { role: 'alertdialog', 'aria-modal': true, 'aria-labelledby': 'oc1', 'aria-describedby': 'oc2 oc3' });
  box = el(frame, 'div', 'font:18px/1.5 sans-serif;color:#111;background:#fff;max-width:540px;margin:10vh auto;padding:24px');
  el(box, 'h2', 'margin:0', { id: 'oc1' }, name);
  el(box, 'p', '', { id: 'oc2' }, text);
  v.time = el(box, 'p', 'font-weight:bold', { id: 'oc3', role: 'timer' });
  v.note = el(box, 'p', 'color:#a00', { role: 'status' });
  v.live = el(box, 'p', 'position:absolute;clip:rect(0,0,0,0)', { 'aria-live': 'polite' });
  v.first = v.last = el(box, href ? 'a' : 'button', css, href && { href: href, target: '_self' }, label);
  if (!href) {
    v.first.onclick = function () {
      if (!fixed) return ask(1);
      quiet = left > 60 ? 60 : -1;
      close();
    };
    v.last = el(box, 'a', css + ';background:#fff;color:#0b3d70', { href: base + '/quitter', target: '_self' }, 'Quitter');
  }
  if (frame.showModal) frame.showModal();
  v.first.focus();
  view = v;
}
function block(name, text, href) {
  if (shut === text) return;
  if (!shut) title = doc.title;
  shut = text;
  doc.title = name;
  doc.body.style.setProperty('display', 'none', 'important');
  open(name, text, href ? 'Continuer' : 'Revenir à l’accueil', href || base + '/connexion');
}
function free() {
  if (!shut) return;
  shut = 0;
  doc.title = title;
  doc.body.style.display = '';
  close();
}
function expired(text) {
  block('Votre session a expiré', fixed ? limit + '.' : text + span(idle) + 'sans action, ou a été fermée ailleurs.');
}
function told(s, asked, extend) {
  var now = Date.now();
  if (caf && (!s.caf || s.caf.code !== caf) || who && who !== s.identifiant)
    return block('Cette page n’est plus à jour', 'Vous avez changé de Caf ou de compte dans un autre onglet.', s.suite);
  free();
  try { if (extend || !who) localStorage.setItem(key, now); } catch (e) {}
  who = s.identifiant;
  read = asked;
  fixed = s.session.prolongeable === false;
  if (!fixed) quiet = 1e9;
  end = asked + s.session.expire_dans_s * 1e3;
  warn = asked + s.session.alerte_dans_s * 1e3;
  due = now < warn ? warn : Math.min(now + 15e3, Math.max(end, now + 1e3));
}
function ask(extend) {
  var x = new XMLHttpRequest(), asked = Date.now();
  if (busy && !extend) return;
  busy = 1;
  x.open(extend ? 'POST' : 'GET', base + '/session' + (extend ? '/continuer' : ''));
  x.setRequestHeader('Accept', 'application/json');
  x.timeout = 1e4;
  x.onreadystatechange = function () {
    var s = {};
    if (x.readyState < 4) return;
    busy = lost = 0;
    try { s = JSON.parse(x.responseText); } catch (e) {}
    if (s.session) told(s, asked, extend);
    else if (s.code === 'session-expiree') expired('Elle s’est terminée après ');
    else if (s.code === 'session-absente') block('Votre session est fermée', 'Vous l’avez quittée dans un autre onglet.');
    else lost = 1;
    tick();
  };
  x.send();
}
function tick() {
  var now = Date.now();
  left = Math.max(0, Math.ceil((end - now) / 1e3));
  clearTimeout(timer);
  /* Once it is time, and when the clock was set back. */
  if (now >= due || now < seen) {
    due = now + (who ? 1e4 : 6e4);
    ask();
  }
  seen = now;
  if (end && !left && lost) expired(mute + 'Elle a dû se terminer, après ');
  /* What the page took away, or says what is no longer so, is made anew. */
  if (view && !shut && (view.fixed !== fixed || view.host.parentNode !== doc.documentElement)) close();
  if (!shut && end && now >= warn && left <= quiet && (read >= warn || lost)) {
    if (!view) open('Votre session va se terminer', fixed ?
      limit + ' et ne peut plus être prolongée : validez votre saisie. Elle se terminera dans :' :
      'Sans action de votre part, elle se terminera dans :', fixed ? 'Revenir à la page' : 'Continuer');
    say(view.time, span(left));
    say(view.note, lost ? mute : '');
    if (/^(120|60|30|10)$/.test(left)) {
      view.live.setAttribute('aria-live', left > 30 ? 'polite' : 'assertive');
      say(view.live, 'Il reste ' + span(left));
    }
  } else if (!shut) close();
  if (!shut || lost) timer = setTimeout(tick, view ? 500 : Math.min(Math.max(due - now, 500), 5e3));
}
on('keydown', function (e) {
  var tab = e.keyCode === 9;
  if (!view) return;
  e.stopPropagation();
  if (tab || e.keyCode === 27) e.preventDefault();
  if (tab) view[(view.root.activeElement || doc.activeElement) === view.first ? 'last' : 'first'].focus();
});
on('focus pageshow online offline visibilitychange', function () { if (!doc.hidden) ask(); });
on('storage', function (e) { if (e.key === key) ask(); });
ask();
})();
