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

/* A request's number, read out four by four; its text stays as it is. */
each(doc.querySelectorAll('.numero code'), function (code) {
  var groups = code.textContent.match(/^[0-9a-f]{32}$/) && code.textContent.match(/.{4}/g);
  if (!groups) return;
  code.textContent = '';
  each(groups, function (group) {
    code.appendChild(doc.createElement('span')).textContent = group;
  });
});

/* A long list of Cafs, made short by what is typed of a name or a code. */
function folded(text) {
  text = text.toLowerCase();
  if (text.normalize) text = text.normalize('NFD').replace(/[\u0300-\u036f]/g, '');
  return text.replace(/[^a-z0-9]+/g, ' ').trim();
}
function search(box) {
  var items = box.querySelectorAll('.choix'), line = doc.createElement('div'), label = doc.createElement('label'),
    field = doc.createElement('input'), found = doc.createElement('p');
  function look() {
    var words = folded(field.value), left = [];
    each(items, function (item) {
      var choice = item.querySelector('input');
      item.hidden = words !== '' && folded(item.textContent).indexOf(words) < 0;
      if (item.hidden) choice.checked = false;
      else left.push(choice);
    });
    if (left.length === 1) left[0].checked = true;
    found.textContent = words === '' ? '' : left.length ? left.length + ' Caf sur ' + items.length : 'Aucune Caf ne porte ce nom dans votre liste.';
    return left;
  }
  label.textContent = 'Chercher par le nom ou le numéro';
  label.htmlFor = field.id = 'chercher';
  field.type = 'text';
  field.setAttribute('autocomplete', 'off');
  found.setAttribute('role', 'status');
  field.addEventListener('input', look);
  /* What is out of sight is not chosen, and the only one left is; Enter goes to the list rather than sends it. */
  field.addEventListener('keydown', function (e) {
    if (e.keyCode !== 13) return;
    e.preventDefault();
    var left = look();
    if (left.length) left[0].focus();
  });
  line.className = 'champ';
  each([label, field, found], function (part) { line.appendChild(part); });
  box.insertBefore(line, box.querySelector('.liste'));
}
each(doc.querySelectorAll('[data-liste]'), search);

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
