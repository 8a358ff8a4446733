"""DICOM series read into volumes by SimpleITK."""
import runner

job = runner.job()
sitk = runner.library("SimpleITK", "SimpleITK")
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(job["threads"])
reader = sitk.ImageSeriesReader


def read():
    for folder in job["folders"]:
        for series in reader.GetGDCMSeriesIDs(folder):
            sitk.ReadImage(reader.GetGDCMSeriesFileNames(folder, series))


runner.serve_rounds(read, f"SimpleITK {sitk.Version.VersionString()}", job["threads"])
