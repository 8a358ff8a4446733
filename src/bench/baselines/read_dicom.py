"""DICOM series read by SimpleITK: HU as a NumPy array."""
import runner

job = runner.job()
sitk = runner.library("SimpleITK", "SimpleITK")
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(job["threads"])


def read():
    for folder in job["folders"]:
        for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(folder):
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder, series))
            sitk.GetArrayViewFromImage(reader.Execute())


runner.serve_rounds(read, f"SimpleITK {sitk.Version.VersionString()}, finding the series included", job["threads"])
