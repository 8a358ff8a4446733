"""Scans cut into tiles, one .npy file a scan, by nibabel or SimpleITK, and NumPy, one after the other or by a pool."""
import runner
import itertools
import multiprocessing
import os
import shutil
import tempfile

job = runner.job()
np = runner.library("numpy", "NumPy")
width, height, depth = job["size"]
processes = job["processes"]

if job["library"] == "nibabel":
    nib = runner.library("nibabel", "nibabel")
    detail = f"nibabel {nib.__version__}, NumPy {np.__version__}"
    threads = processes
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
    threads = job["threads"]
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1 if processes > 1 else threads)
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


each = itertools.starmap
if processes > 1:
    # Forked, as the processes need what is defined above.
    each = multiprocessing.get_context("fork").Pool(processes).starmap
    detail += f", {processes} processes, memory: without theirs"


def prepare():
    out = tempfile.mkdtemp(dir=job["folder"])
    try:
        list(each(tile, [(path, out) for path in job["scans"]]))
    finally:
        shutil.rmtree(out)


runner.serve_rounds(prepare, detail, threads)
