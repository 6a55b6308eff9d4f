// A sketchpad whose drawings look like the training images: strokes are kept as lines, and are drawn again at the
// position, size and stroke width of the training data (`drawing` in model.json).

const FINE = 8; // canvas pixels for each pixel of the input, on each axis: their mean is the pixel

/** A pad to draw on. `changed()` is called after each change. */
export class Sketchpad {
  constructor(canvas, style, shape, changed) {
    Object.assign(this, { canvas, style, shape, changed });
    this.strokes = []; // lists of points [x, y] in pixels of the pad
    this.pen = (style.stroke / Math.max(shape.width, shape.height)) * canvas.width;
    canvas.addEventListener("pointerdown", (event) => this.start(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    this.draw();
  }

  start(event) {
    this.canvas.setPointerCapture(event.pointerId);
    const [x, y] = this.pointOf(event);
    this.strokes.push([[x, y], [x + 0.1, y]]); // a line without length would not be drawn
    this.draw();
  }

  move(event) {
    if (!(event.buttons & 1) || !this.strokes.length) return;
    this.strokes.at(-1).push(this.pointOf(event));
    this.draw();
  }

  pointOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  clear() {
    this.strokes = [];
    this.draw();
  }

  undo() {
    this.strokes.pop();
    this.draw();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const { background, ink } = this.style;
    context.fillStyle = `rgb(${background} ${background} ${background})`;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    trace(context, this.strokes, this.pen, `rgb(${ink} ${ink} ${ink})`);
    this.changed();
  }

  /** Return the drawing as the model takes it, bytes [height, width]; null if the pad is empty. */
  toInput() {
    return this.strokes.length ? render(this.strokes, this.style, this.shape) : null;
  }
}

/** Draw strokes of a width and colour. */
function trace(context, strokes, width, colour) {
  Object.assign(context, { lineWidth: width, strokeStyle: colour, lineCap: "round", lineJoin: "round" });
  for (const points of strokes) {
    context.beginPath();
    context.moveTo(...points[0]);
    for (const point of points.slice(1)) context.lineTo(...point);
    context.stroke();
  }
}

/** Return strokes as an image of the training data: bytes [height, width]. */
function render(strokes, style, { height, width }) {
  const xs = strokes.flat().map(([x]) => x);
  const ys = strokes.flat().map(([, y]) => y);
  const [left, top] = [xs, ys].map((values) => values.reduce((a, b) => Math.min(a, b)));
  const [right, bottom] = [xs, ys].map((values) => values.reduce((a, b) => Math.max(a, b)));
  // The longer side of the box around the ink, half a stroke beyond the points on each side, becomes `extent`.
  const scale = Math.max(style.extent - style.stroke, 0) / Math.max(right - left, bottom - top, 1);
  const place = (shift) =>
    strokes.map((points) =>
      points.map(([x, y]) => [
        ((x - (left + right) / 2) * scale + style.centre[0] + shift[0]) * FINE,
        ((y - (top + bottom) / 2) * scale + style.centre[1] + shift[1]) * FINE,
      ]),
    );
  let coverage = rasterize(place([0, 0]), style.stroke, width, height);
  if (style.anchor === "mass") {
    const mass = centreOfMass(coverage, width);
    coverage = rasterize(place(style.centre.map((value, i) => value - mass[i])), style.stroke, width, height);
  }
  return Uint8Array.from(coverage, (share) => Math.round(style.background + share * (style.ink - style.background)));
}

/** Return which share of each pixel is covered by strokes, 0 to 1, as [height, width]. */
function rasterize(strokes, stroke, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width * FINE, height * FINE];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  trace(context, strokes, stroke * FINE, "black");
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const coverage = new Float64Array(width * height);
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      const pixel = Math.floor(y / FINE) * width + Math.floor(x / FINE);
      coverage[pixel] += data[4 * (y * canvas.width + x) + 3] / (255 * FINE * FINE);
    }
  }
  return coverage;
}

/** Return the centre of mass (x, y) in pixels. */
function centreOfMass(coverage, width) {
  let [total, x, y] = [0, 0, 0];
  coverage.forEach((share, i) => {
    total += share;
    x += share * ((i % width) + 0.5);
    y += share * (Math.floor(i / width) + 0.5);
  });
  return [x / total, y / total];
}
