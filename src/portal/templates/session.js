/* Warns before the session ends. Reading the state extends nothing. */
(function () {
'use strict';
var doc = document, own = 'script[src$="/session.js"]', tag = doc.currentScript || doc.querySelector(own);
try { if (top !== self && top.document.querySelector(own)) return; } catch (e) {}
if (!tag || self.octroi || self.origin === 'null') return;
self.octroi = 1;
var base = tag.src.slice(0, -11), caf = tag.dataset.caf, idle = tag.dataset.inactivite,
  key = 'octroi-session', mute = 'Le réseau ou le service ne répond pas. ',
  end = 0, warn = 0, due = 0, read = 0, who, busy, lost, shut, timer, view, focused, title;

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
  doc.documentElement.removeChild(view.host);
  view = 0;
  if (focused) focused.focus();
}
/* Over everything, in a shadow that the page's style does not reach. */
function open(name, text, label, href) {
  var v = {}, box, frame, css = 'font:inherit;padding:8px 16px;margin-right:8px;border:2px solid;background:#0b3d70;color:#fff';
  close();
  focused = doc.activeElement;
  v.host = el(doc.documentElement, 'div', '');
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
  v.first = v.last = el(box, href ? 'a' : 'button', css, href && { href: href }, label);
  if (!href) {
    v.first.onclick = function () { ask(1); };
    v.last = el(box, 'a', css + ';background:#fff;color:#0b3d70', { href: base + '/quitter' }, 'Quitter');
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
  block('Votre session a expiré', text + span(idle) + 'sans action, ou a été fermée ailleurs.');
}
function told(s, asked, extend) {
  var now = Date.now();
  if (caf && (!s.caf || s.caf.code !== caf) || who && who !== s.identifiant)
    return block('Cette page n’est plus à jour', 'Vous avez changé de Caf ou de compte dans un autre onglet.', s.suite);
  free();
  try { if (extend || !who) localStorage.setItem(key, now); } catch (e) {}
  who = s.identifiant;
  read = asked;
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
  var now = Date.now(), left = Math.max(0, Math.ceil((end - now) / 1e3));
  clearTimeout(timer);
  if (now >= due) {
    due = now + 1e4;
    ask();
  }
  if (end && !left && lost) expired(mute + 'Elle a dû se terminer, après ');
  if (!shut && end && now >= warn && (read >= warn || lost)) {
    if (!view) open('Votre session va se terminer', 'Sans action de votre part, elle se terminera dans :', 'Continuer');
    say(view.time, span(left));
    say(view.note, lost ? mute : '');
    if (/^(120|60|30|10)$/.test(left)) {
      view.live.setAttribute('aria-live', left > 30 ? 'polite' : 'assertive');
      say(view.live, 'Il reste ' + span(left));
    }
  } else if (!shut) close();
  if (!shut || lost) timer = setTimeout(tick, view ? 500 : Math.min(Math.max(due - now, 500), 6e5));
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
