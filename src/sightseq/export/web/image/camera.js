// The camera, one picture after another.

/** Start the camera on a video element, the one at the back of a phone if there is one; returns a function to stop. */
export async function startCamera(video) {
  if (!navigator.mediaDevices) throw new Error("a browser gives the camera only to pages on https:// or localhost");
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { facingMode: "environment", width: { ideal: 640 }, height: { ideal: 480 } },
  });
  video.srcObject = stream;
  await video.play();
  return () => {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };
}
