'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  // Theme: what the system says, until the button says otherwise.
  const root = document.documentElement;
  const store = (theme) => { try { localStorage.setItem('gradchain-theme', theme); } catch { /* a file without storage */ } };
  try { const t = localStorage.getItem('gradchain-theme'); if (t) root.dataset.theme = t; } catch { /* as above */ }
  $('theme').hidden = false;
  $('theme').addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    store(root.dataset.theme);
  });
  if (!$('data')) return;
  const { columns, parameters, rows } = JSON.parse($('data').textContent);
  for (const e of document.querySelectorAll('.scripted')) e.hidden = false;

  // Hover: the mark next to the pointer shows its row; a click goes to the row in the table.
  const tip = document.createElement('div');
  tip.id = 'tip';
  tip.hidden = true;
  document.body.append(tip);
  const short = (v) => typeof v !== 'number' || (Number.isInteger(v) && Math.abs(v) < 1e15) ? String(v)
    : Math.abs(v) >= 1e-3 && Math.abs(v) < 1e6 ? String(+v.toPrecision(5)) : v.toExponential(4);
  let at = null;
  const nearest = (svg, event) => {
    let best = null, least = 26 * 26;
    for (const mark of svg.querySelectorAll('[data-r]')) {
      const box = mark.getBoundingClientRect();
      const dx = Math.max(box.left - event.clientX, 0, event.clientX - box.right);
      const dy = Math.max(box.top - event.clientY, 0, event.clientY - box.bottom);
      const d = dx * dx + dy * dy;
      if (d < least) { least = d; best = mark; }
    }
    return best;
  };
  const leave = () => { if (at) at.classList.remove('at'); at = null; tip.hidden = true; };
  const show = (mark) => {
    if (mark === at) return;
    leave();
    if (!mark) return;
    at = mark;
    mark.classList.add('at');
    const list = document.createElement('dl');
    let results = 0;
    rows[mark.dataset.r].forEach((value, i) => {
      if (value === null || (!parameters[i] && ++results > 8)) return;
      const name = document.createElement('dt'), figure = document.createElement('dd');
      name.textContent = columns[i];
      figure.textContent = short(value);
      list.append(name, figure);
    });
    tip.replaceChildren(list);
    tip.hidden = false;
    const box = mark.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left + box.width / 2 - own.width / 2), innerWidth - own.width - 8);
    const top = box.top - own.height - 10 > 4 ? box.top - own.height - 10 : box.bottom + 10;
    tip.style.left = left + scrollX + 'px';
    tip.style.top = top + scrollY + 'px';
  };
  // The number of a row is its permalink.
  const trs = [...document.querySelectorAll('#rows tbody tr')];
  for (const tr of trs) {
    const link = document.createElement('a');
    link.href = '#' + tr.id;
    link.append(...tr.cells[0].childNodes);
    tr.cells[0].append(link);
  }
  for (const svg of document.querySelectorAll('svg.chart:not(.swatch)')) {
    svg.addEventListener('pointermove', (event) => show(nearest(svg, event)));
    svg.addEventListener('pointerdown', (event) => show(nearest(svg, event)));
    svg.addEventListener('pointerleave', (event) => { if (event.pointerType === 'mouse') leave(); });
    svg.addEventListener('click', (event) => {
      const mark = event.pointerType === 'mouse' && nearest(svg, event), tr = mark && trs[mark.dataset.r];
      if (tr) { leave(); tr.hidden = false; location.hash = tr.id; }
    });
  }
  addEventListener('keydown', (event) => { if (event.key === 'Escape') leave(); });

  // Filter: each word must start one of the cells of a row, so that `f16` does not find `bf16`.
  const words = trs.map((tr) => [...tr.cells].slice(1).map((cell) => cell.textContent.toLowerCase()));
  let kept = trs;
  const filter = () => {
    const wanted = $('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    kept = trs.filter((tr, i) => {
      const fits = wanted.every((word) => words[i].some((cell) => cell.startsWith(word)));
      tr.hidden = !fits;
      return fits;
    });
    $('count').textContent = wanted.length ? kept.length + ' of ' + trs.length : '';
  };
  $('filter').addEventListener('input', filter);

  // Sort: by all digits; what is no number follows the numbers, what did not happen comes last.
  const number = (v) => typeof v === 'number' ? v : v === 'inf' ? Infinity : v === '-inf' ? -Infinity : null;
  const power = (v) => { const m = typeof v === 'string' && /^(-?[\d.]+)\*2\^(-?\d+)$/.exec(v); return m && [+m[1], +m[2]]; };
  const rank = (v) => v === null ? 3 : number(v) !== null || power(v) ? 0 : 1;
  const compare = (a, b) => {
    if (rank(a) !== rank(b)) return rank(a) - rank(b);
    if (rank(a) === 1) return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
    // Beyond f64 the exponent decides: a number above 2^1023 is above all others, one below 2^-1022 next to zero.
    const size = (v) => { const p = power(v); return p ? (p[1] > 0 ? Math.sign(p[0]) * 1.79e308 : 0) : number(v); };
    const pa = power(a), pb = power(b);
    if (pa && pb && (pa[1] > 0) === (pb[1] > 0) && pa[0] * pb[0] > 0) return Math.sign(pa[0]) * (pa[1] - pb[1]) || pa[0] - pb[0];
    return size(a) - size(b) || 0;
  };
  const heads = [...document.querySelectorAll('#rows th')].slice(1);
  const body = document.querySelector('#rows tbody');
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const order = trs.map((tr, i) => i).sort((a, b) => {
        const x = rows[a][column], y = rows[b][column];
        const order = compare(x, y);
        return (down && rank(x) === 0 && rank(y) === 0 ? -order : order) || a - b;
      });
      body.append(...order.map((i) => trs[i]));
    });
  });

  // CSV by RFC 4180 of the rows that the filter leaves, in the order shown, with all digits.
  $('csv').addEventListener('click', () => {
    const quote = (v) => { const s = v === null ? '' : String(v); return /[",\r\n]/.test(s) ? '"' + s.replaceAll('"', '""') + '"' : s; };
    const lines = [columns, ...[...body.rows].filter((tr) => !tr.hidden).map((tr) => rows[trs.indexOf(tr)])];
    const blob = new Blob([lines.map((line) => line.map(quote).join(',') + '\r\n').join('')], { type: 'text/csv' });
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = 'rows.csv';
    link.click();
    URL.revokeObjectURL(link.href);
  });
})();
