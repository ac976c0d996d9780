// The council's panel: one line for each member, the votes, and where their answers differ.
// `data` is what `panel_rows.panel_data` gives. Texts of models go into text nodes only.

function create(tag, className, parent) {
  const node = document.createElement(tag);
  node.className = className;
  if (parent) parent.append(node);
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Makes the children of `parent` those of `items`. A child that is there already stays, so an open
// fold stays open and the focus stays where it is.
function keepChildren(parent, items, make, fill) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let next = parent.firstElementChild;
  items.forEach((item, place) => {
    const key = String(item.key ?? place);
    let node = old.get(key);
    if (node) {
      old.delete(key);
    } else {
      node = make(item);
      node.dataset.key = key;
    }
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
    fill(node, item);
  });
  old.forEach((node) => node.remove());
}

function fillFace(face, one) {
  face.className = `mom-face mom-c${one.colour}`;
  face.title = one.name;
  setText(face, one.initial);
}

function fillFaces(parent, faces) {
  keepChildren(parent, faces, () => create("span", ""), fillFace);
}

function makeMember() {
  const row = create("button", "");
  row.type = "button";
  for (const part of ["mom-face", "mom-who", "mom-words", "mom-side"]) create("span", part, row);
  create("bdi", "", row.children[2]);
  row.firstElementChild.ariaHidden = "true";
  return row;
}

function fillMember(row, one) {
  row.className = `mom-member mom-${one.state}${one.tail ? " mom-tail" : ""}`;
  row.title = one.title;
  row.disabled = !one.opens;
  row.setAttribute("aria-label", one.label);
  fillFace(row.children[0], one);
  row.children[0].title = "";
  setText(row.children[1], one.name);
  setText(row.children[2].firstElementChild, one.words);
  setText(row.children[3], one.side);
}

function makeOption() {
  const option = create("div", "mom-option");
  create("span", "mom-answer", option);
  create("span", "mom-faces", option);
  create("span", "mom-share", option);
  const bar = create("div", "mom-bar", option);
  create("b", "", bar);
  create("i", "", bar);
  return option;
}

function fillOption(option, one) {
  const [answer, faces, share, bar] = option.children;
  setText(answer, one.answer);
  fillFaces(faces, one.faces);
  setText(share, `${Math.round(one.share * 100)}%`);
  bar.firstElementChild.style.width = `${Math.min(1, one.share) * 100}%`;
  bar.lastElementChild.hidden = one.needed === null;
  bar.lastElementChild.style.left = `${(one.needed ?? 0) * 100}%`;
}

function makeFold(one) {
  const fold = create("details", "mom-fold");
  fold.open = Boolean(one.open);
  create("summary", "", fold);
  create("ul", "", fold);
  return fold;
}

function fillFold(fold, one) {
  setText(fold.firstElementChild, one.title);
  keepChildren(fold.lastElementChild, one.items, makePoint, fillPoint);
}

function makePoint() {
  const point = create("li", "");
  create("span", "mom-faces", point);
  create("span", "", point);
  return point;
}

function fillPoint(point, one) {
  fillFaces(point.firstElementChild, one.faces);
  setText(point.lastElementChild, one.text);
}

function makeRound() {
  const round = create("div", "mom-round");
  create("div", "mom-members", round);
  create("div", "mom-note", round);
  create("div", "mom-options", round);
  create("p", "mom-verdict", round);
  create("div", "mom-folds", round);
  return round;
}

function fillRound(round, one) {
  const [members, note, options, verdict, folds] = round.children;
  keepChildren(members, one.members, makeMember, fillMember);
  setText(note, one.note);
  keepChildren(options, one.options, makeOption, fillOption);
  setText(verdict, one.verdict);
  keepChildren(folds, one.folds, makeFold, fillFold);
}

function makeStep() {
  const step = create("button", "mom-step");
  step.type = "button";
  return step;
}

export default function draw({ parentElement, data, setTriggerValue }) {
  const panel = parentElement.querySelector(".mom-panel");
  if (!panel || !data) return;
  const [steps, rounds, folds] = panel.children;
  // The last round is shown until somebody chooses another one.
  const last = data.rounds.length ? data.rounds[data.rounds.length - 1].key : "";
  const chosen = data.rounds.some((one) => one.key === panel.dataset.round);
  const shown = chosen ? panel.dataset.round : last;
  keepChildren(steps, data.steps, makeStep, (step, one) => {
    setText(step, one.text);
    step.disabled = !one.opens;
    step.className = `mom-step mom-${one.state}`;
    step.setAttribute("aria-pressed", String(one.key === shown));
  });
  const current = data.rounds.filter((one) => one.key === shown);
  keepChildren(rounds, current, makeRound, fillRound);
  keepChildren(folds, data.folds, makeFold, fillFold);
  panel.onclick = (event) => {
    const member = event.target.closest(".mom-member");
    if (member) setTriggerValue("open", member.dataset.key);
    const step = event.target.closest(".mom-step");
    if (!step) return;
    panel.dataset.round = step.dataset.key;
    draw({ parentElement, data, setTriggerValue });
  };
}
