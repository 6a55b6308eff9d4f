// From a photograph or a camera to the input of the model: the same steps as `sightseq predict`.

import { cropAndResize } from "./resize.js";

/** Decode an image file: upright, without its colour profile. */
export function decode(file) {
  return createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
}

/**
 * Return a picture as the model takes it: bytes [channels, height, width].
 *
 * picture: an ImageBitmap or a video element.
 * shape: `preprocessing` in model.json, with channels, height and width.
 */
export function toInput(picture, { channels, height, width }) {
  const fullWidth = picture.videoWidth ?? picture.width;
  const fullHeight = picture.videoHeight ?? picture.height;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const readRows = (top, count) => {
    [canvas.width, canvas.height] = [fullWidth, count];
    context.fillStyle = "white"; // behind transparent pixels
    context.fillRect(0, 0, fullWidth, count);
    context.drawImage(picture, 0, top, fullWidth, count, 0, 0, fullWidth, count);
    return context.getImageData(0, 0, fullWidth, count).data;
  };
  const rgb = cropAndResize(fullWidth, fullHeight, readRows, width, height);
  return channels === 1 ? toGrey(rgb) : toPlanes(rgb);
}

/** Return the brightness of RGB bytes, with Pillow's weights (ITU-R 601). */
function toGrey(rgb) {
  return Uint8Array.from({ length: rgb.length / 3 }, (_, i) => {
    const [red, green, blue] = rgb.subarray(3 * i, 3 * i + 3);
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
  });
}

/** Reorder RGB bytes [height, width, 3] to [3, height, width]. */
function toPlanes(rgb) {
  const size = rgb.length / 3;
  return Uint8Array.from({ length: rgb.length }, (_, i) => rgb[(i % size) * 3 + Math.floor(i / size)]);
}

/** Show an input of the model on a canvas. */
export function show(input, { channels, height, width }, canvas) {
  [canvas.width, canvas.height] = [width, height];
  const size = width * height;
  const image = new ImageData(width, height);
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = input[channels === 1 ? i : c * size + i];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
