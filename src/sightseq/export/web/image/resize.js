// Resizing as Pillow does it, since the model was trained on images that Pillow resized: the same bytes, or one grey
// level off where Pillow finds it faster to resize columns before rows.
//
// Canvas cannot be used for this: its drawImage reads a few neighbours of each pixel, so a photograph that is much
// reduced gets noise that the model has never seen.

const PRECISION = 22; // bits of the fraction in Pillow's weights: Resample.c

/** Return the largest centred box [left, top, width, height] with the aspect ratio of the target: ImageOps.fit. */
export function centredBox(width, height, toWidth, toHeight) {
  if (width === toWidth && height === toHeight) return [0, 0, width, height];
  const ratio = toWidth / toHeight;
  let [boxWidth, boxHeight] = [width, height];
  if (width / height > ratio) boxWidth = ratio * height;
  else if (width / height < ratio) boxHeight = width / ratio;
  return [(width - boxWidth) * 0.5, (height - boxHeight) * 0.5, boxWidth, boxHeight];
}

/**
 * Return for each output pixel the first input pixel it reads, and their weights (bilinear, antialiased).
 *
 * size: number of input pixels on this axis; start, end: the part that is resized, in pixels; count: output pixels.
 */
function weightsOf(size, start, end, count) {
  [start, end] = [Math.fround(start), Math.fround(end)]; // Pillow's boxes are 32-bit floats
  const scale = Math.fround(end - start) / count;
  const support = Math.max(scale, 1);
  return Array.from({ length: count }, (_, index) => {
    const centre = start + (index + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), size);
    const raw = Array.from({ length: last - first }, (_, i) =>
      Math.max(1 - Math.abs((i + first - centre + 0.5) * (1 / support)), 0),
    );
    const sum = raw.reduce((a, b) => a + b, 0);
    const values = Int32Array.from(raw, (value) => Math.trunc(0.5 + (value / sum) * 2 ** PRECISION));
    return { first, values };
  });
}

/**
 * Crop an image to the aspect ratio of the output, and resize it.
 *
 * width, height: size of the image.
 * readRows(top, count): returns rows of the image as RGBA bytes, so that a large photograph is never copied whole.
 * Returns RGB bytes [toHeight, toWidth, 3].
 */
export function cropAndResize(width, height, readRows, toWidth, toHeight, strip = 128) {
  const [left, top, boxWidth, boxHeight] = centredBox(width, height, toWidth, toHeight);
  const across = weightsOf(width, left, left + boxWidth, toWidth);
  const down = weightsOf(height, top, top + boxHeight, toHeight);
  const begin = down[0].first;
  const end = down[toHeight - 1].first + down[toHeight - 1].values.length;
  const narrow = new Uint8ClampedArray((end - begin) * toWidth * 3);
  for (let row = begin; row < end; row += strip) {
    const count = Math.min(strip, end - row);
    narrowRows(readRows(row, count), width, count, across, narrow, (row - begin) * toWidth * 3);
  }
  const pixels = new Uint8ClampedArray(toHeight * toWidth * 3);
  const length = toWidth * 3;
  for (let y = 0; y < toHeight; y++) {
    const { first, values } = down[y];
    for (let x = 0; x < length; x++) {
      let sum = 1 << (PRECISION - 1);
      for (let i = 0; i < values.length; i++) sum += narrow[(first - begin + i) * length + x] * values[i];
      pixels[y * length + x] = sum >> PRECISION;
    }
  }
  return pixels;
}

/** Resize rows of RGBA bytes to the width of the output; write RGB bytes to `target` from `offset` on. */
function narrowRows(rgba, width, count, across, target, offset) {
  for (let y = 0; y < count; y++) {
    for (const { first, values } of across) {
      let [red, green, blue] = [1 << (PRECISION - 1), 1 << (PRECISION - 1), 1 << (PRECISION - 1)];
      let source = (y * width + first) * 4;
      for (let i = 0; i < values.length; i++, source += 4) {
        red += rgba[source] * values[i];
        green += rgba[source + 1] * values[i];
        blue += rgba[source + 2] * values[i];
      }
      target[offset++] = red >> PRECISION;
      target[offset++] = green >> PRECISION;
      target[offset++] = blue >> PRECISION;
    }
  }
}
