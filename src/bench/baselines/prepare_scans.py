"""Scans cut into tiles, one .npy file a scan, by nibabel or SimpleITK, and NumPy."""
import runner
import os
import shutil
import tempfile

job = runner.job()
np = runner.library("numpy", "NumPy")
width, height, depth = job["size"]

if job["library"] == "nibabel":
    nib = runner.library("nibabel", "nibabel")
    detail = f"nibabel {nib.__version__}, NumPy {np.__version__}"
    LPS = nib.orientations.axcodes2ornt("LPS")

    def read_mhd(path):
        """nibabel has no MetaImage: an uncompressed one of int16 is a NumPy array behind a header of text."""
        lines = [line.split("=", 1) for line in open(path)]
        header = {key.strip(): value.strip() for key, value in lines}
        shape = [int(n) for n in header["DimSize"].split()][::-1]
        data = os.path.join(os.path.dirname(path), header["ElementDataFile"])
        return np.fromfile(data, "<i2").reshape(shape)

    def read(path):
        """A volume [z, y, x], x towards the left, y towards the back."""
        if path.endswith(".mhd"):
            return read_mhd(path)
        image = nib.load(path)
        turn = nib.orientations.ornt_transform(nib.orientations.io_orientation(image.affine), LPS)
        return np.asanyarray(image.as_reoriented(turn).dataobj).transpose(2, 1, 0)
else:
    sitk = runner.library("SimpleITK", "SimpleITK")
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(job["threads"])
    detail = f"SimpleITK {sitk.Version.VersionString()}, NumPy {np.__version__}"

    def read(path):
        return sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(path), "LPS"))


def tile(path, out):
    volume = read(path).astype(np.int16, copy=False)
    starts = [range(0, n - s + 1, s) for n, s in zip(volume.shape, (depth, height, width))]
    tiles = [
        volume[z : z + depth, y : y + height, x : x + width]
        for z in starts[0]
        for y in starts[1]
        for x in starts[2]
    ]
    np.save(os.path.join(out, os.path.basename(path) + ".npy"), np.stack(tiles))


def prepare():
    out = tempfile.mkdtemp()
    try:
        for path in job["scans"]:
            tile(path, out)
    finally:
        shutil.rmtree(out)


runner.serve_rounds(prepare, detail, job["threads"])
