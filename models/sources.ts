/**
 * The scans that an encoder of this package may be trained on: those whose licences let anybody use the weights. Licences and citations
 * are those of NCI's Imaging Data Commons (version 25), where each series has its own, and of the repository of TotalSegmentator.
 */
export interface Collection {
  readonly name: string;
  readonly license: string;
  readonly licenseUrl: string;
  readonly citation: string;
  /** What the scans are called there, by their names in a tile store. */
  readonly scans: Readonly<Record<string, string>>;
}

const CC_BY_3 = { license: 'CC BY 3.0', licenseUrl: 'https://creativecommons.org/licenses/by/3.0/' };
const CC_BY_4 = { license: 'CC BY 4.0', licenseUrl: 'https://creativecommons.org/licenses/by/4.0/' };

export const COLLECTIONS: readonly Collection[] = [
  {
    name: 'CPTAC-LSCC',
    ...CC_BY_4,
    citation:
      'National Cancer Institute Clinical Proteomic Tumor Analysis Consortium (CPTAC). (2018). The Clinical Proteomic Tumor Analysis Consortium Lung Squamous Cell Carcinoma Collection (CPTAC-LSCC) (Version 15) [Data set]. The Cancer Imaging Archive. https://doi.org/10.7937/K9/TCIA.2018.6EMUB5L2',
    scans: { 'C3N-00247_native': 'C3N-00247' },
  },
  {
    name: 'ACRIN-FLT-Breast',
    ...CC_BY_3,
    citation:
      'Kinahan, P., Muzi, M., Bialecki, B., & Coombs, L. (2017). Data from ACRIN-FLT-Breast (Version 2) [Data set]. The Cancer Imaging Archive. https://doi.org/10.7937/K9/TCIA.2017.OL20ZMXG',
    scans: { 'chest_ACRINFLTBreast-013': 'ACRIN-FLT-Breast_013' },
  },
  {
    name: 'CMB-CRC',
    ...CC_BY_4,
    citation:
      'Cancer Moonshot Biobank. (2022). Cancer Moonshot Biobank - Colorectal Cancer Collection (CMB-CRC) (Version 11) [Data set]. The Cancer Imaging Archive. https://doi.org/10.7937/DJG7-GZ87',
    scans: { 'chest_CMBCRC-MSB-01068': 'MSB-01068 (at half its resolution in plane)' },
  },
  {
    name: 'RIDER Pilot',
    ...CC_BY_4,
    citation:
      'Lung Image Database Consortium (LIDC). (2023). RIDER Pilot (Version 1) [Data set]. The Cancer Imaging Archive. https://doi.org/10.7937/M87F-MZ83',
    scans: { 'chest_RIDERPilot-0117': '1.3.6.1.4.1.9328.50.1.0117' },
  },
  {
    name: 'Lung-Fused-CT-Pathology',
    ...CC_BY_3,
    citation:
      'Madabhushi, A., & Rusu, M. (2018). Fused Radiology-Pathology Lung (Lung-Fused-CT-Pathology) (Version 1) [Data set]. The Cancer Imaging Archive. https://doi.org/10.7937/K9/TCIA.2018.SMT36LPN',
    scans: { 'chest_LungFCP-01-0001': 'LungFCP-01-0001 (at half its resolution in plane)' },
  },
  {
    name: 'Colorectal-Liver-Metastases',
    ...CC_BY_4,
    citation:
      "Simpson, A. L., Peoples, J., Creasy, J. M., Fichtinger, G., Gangai, N., Lasso, A., Keshava Murthy, K. N., Shia, J., D'Angelica, M. I., & Do, R. K. G. (2023). Preoperative CT and Survival Data for Patients Undergoing Resection of Colorectal Liver Metastases (Colorectal-Liver-Metastases) (Version 2) [Data set]. The Cancer Imaging Archive. https://doi.org/10.7937/QXK2-QG03",
    scans: { 'abdomen_CRLM-CT-1004': 'CRLM-CT-1004' },
  },
  {
    name: 'TotalSegmentator',
    license: 'Apache-2.0',
    licenseUrl: 'https://www.apache.org/licenses/LICENSE-2.0',
    citation:
      'Wasserthal, J., Breit, H.-C., Meyer, M. T., Pradella, M., Hinck, D., Sauter, A. W., Heye, T., Boll, D., Cyriac, J., Yang, S., Bach, M., & Segeroth, M. (2023). TotalSegmentator: Robust Segmentation of 104 Anatomic Structures in CT Images. Radiology: Artificial Intelligence. https://doi.org/10.1148/ryai.230024. The scans are test files of https://github.com/wasserth/TotalSegmentator, which is under this licence',
    scans: {
      ts_aorta_ct_cropped: 'test file of the aorta report',
      ts_example_ct: 'example CT',
      ts_pulmonary_ct_cropped:
        'test file of the pulmonary report, a part of the same scan as that of the aorta report',
    },
  },
];
