/* What makes the pages easier; each works without it. */
(function () {
'use strict';
var doc = document, error = doc.getElementById('erreur'),
  typed = doc.getElementById('nouveau_mot_de_passe'), list = doc.querySelector('[data-regles]'),
  wait = doc.querySelector('[data-attente]'), over = doc.getElementById('attente-finie');

function each(nodes, f) {
  Array.prototype.forEach.call(nodes, f);
}

/* Browsers that do not know autofocus on a block. */
if (error && doc.activeElement !== error) error.focus();

/* A second click within five seconds sends nothing more. */
doc.addEventListener('submit', function (e) {
  var now = Date.now(), sent = +e.target.getAttribute('data-envoi');
  if (sent && now >= sent && now - sent < 5000) e.preventDefault();
  else e.target.setAttribute('data-envoi', now);
});
self.addEventListener('pageshow', function () {
  each(doc.querySelectorAll('[data-envoi]'), function (form) { form.removeAttribute('data-envoi'); });
});

/* The rules, ticked while the password is typed; the gateway alone decides. */
function kept(rule, text) {
  var who = doc.querySelector('[name=identifiant],[name=compte]'), name = who ? who.value.trim().toLowerCase() : '';
  switch (rule.getAttribute('data-regle')) {
    case 'longueur': return text.replace(/[\uD800-\uDBFF][\uDC00-\uDFFF]/g, '.').length >= +rule.getAttribute('data-min');
    case 'lettre': return text.toLowerCase() !== text.toUpperCase();
    case 'chiffre': return /[0-9]/.test(text);
    default: return !name || text.toLowerCase().indexOf(name) < 0;
  }
}
function tick() {
  each(list.querySelectorAll('[data-regle]'), function (rule) {
    var done = typed.value !== '' && kept(rule, typed.value), mark = rule.querySelector('.coche');
    rule.className = done ? 'tenue' : '';
    mark.textContent = !typed.value ? '' : done ? ' ✓ respecté' : ' : à compléter';
  });
}
if (typed && list) {
  each(list.querySelectorAll('[data-regle]'), function (rule) {
    rule.appendChild(doc.createElement('span')).className = 'coche';
  });
  typed.setAttribute('aria-describedby', typed.getAttribute('aria-describedby') + ' regles-liste');
  typed.addEventListener('input', tick);
  tick();
}

/* The wait, counted down. */
function count(n, unit) {
  return n ? n + ' ' + unit + (n > 1 ? 's ' : ' ') : '';
}
if (wait) {
  var end = Date.now() + 1000 * wait.getAttribute('data-attente'), timer = setInterval(down, 1000);
  wait.hidden = false;
  down();
}
function down() {
  var left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
  wait.textContent = left ? 'Encore ' + count(Math.floor(left / 60), 'minute') + count(left % 60, 'seconde') : '';
  if (left) return;
  clearInterval(timer);
  over.textContent = 'Vous pouvez réessayer maintenant.';
}
})();
