"""The exported encoder in OpenVINO: a batch at once, or image by image on several streams."""
import runner

job = runner.job()
ov = runner.library("openvino", "OpenVINO")
np = runner.library("numpy", "NumPy")

streams = job["streams"]
batch = 1 if streams > 1 else job["batch"]
core = ov.Core()
model = core.read_model(job["model"])
model.reshape({"hu": [batch, *job["size"]]})
settings = {
    "INFERENCE_NUM_THREADS": job["threads"],
    "NUM_STREAMS": streams,
    "INFERENCE_PRECISION_HINT": "f32",
}
compiled = core.compile_model(model, "CPU", settings)
hu = np.random.default_rng(0).uniform(-1000, 1000, (job["batch"], *job["size"])).astype(np.float32)
queue = ov.AsyncInferQueue(compiled, streams)


def encode():
    for start in range(0, job["batch"], batch):
        queue.start_async({"hu": hu[start : start + batch]})
    queue.wait_all()


way = f"image by image on {streams} streams" if streams > 1 else "one batch"
runner.serve_rounds(encode, f"OpenVINO {ov.__version__.split('-')[0]}, float32, {way}", job["threads"])
