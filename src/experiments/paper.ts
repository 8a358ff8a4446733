/** Figures of the paper (Feng et al. 2020): Table 1, Table 2, and the correlations of Fig. 2 and Fig. 3. */

/** Lung nodules: false positives, segmentation; liver; pulmonary embolism: false positives; brain tumour. */
export const PAPER_TASKS = ['NCC', 'NCS', 'LCS', 'ECC', 'BMS'] as const;
export type PaperTask = (typeof PAPER_TASKS)[number];

/** Mean and standard deviation over trials, per cent. */
export type PaperScore = readonly [mean: number, deviation: number];
type Scores = Readonly<Partial<Record<PaperTask, PaperScore>>>;

/** Table 1: 10 trials each; AUC of NCC and ECC, IoU of the others. */
export const PAPER_TABLE_1: Readonly<Record<string, Scores>> = {
  random: {
    NCC: [94.25, 5.07],
    NCS: [74.05, 1.97],
    LCS: [77.82, 3.87],
    ECC: [79.99, 8.06],
    BMS: [63.91, 1.41],
  },
  genesis: {
    NCC: [97.9, 0.57],
    NCS: [77.62, 0.64],
    LCS: [84.17, 1.93],
    ECC: [87.2, 2.87],
    BMS: [68.08, 1.15],
  },
  parts2whole: {
    NCC: [98.67, 0.23],
    NCS: [77.35, 0.61],
    LCS: [86.7, 0.62],
    ECC: [86.14, 2.97],
    BMS: [68.33, 0.41],
  },
};

/** Table 2: 5 trials each, with 45 % of NCC's and 10 % of NCS' training data. */
export const PAPER_TABLE_2: Readonly<Record<string, Scores>> = {
  '[1⁄16, 1] with skips': { NCC: [88.48, 8.24], NCS: [70.64, 0.21] },
  '[1⁄16, 1]': { NCC: [93.78, 2.12], NCS: [72.72, 0.42] },
  '[1⁄16, 1⁄2]': { NCC: [91.48, 0.45], NCS: [73.29, 0.58] },
  '[1⁄16, 1⁄4]': { NCC: [94.84, 1.58], NCS: [74.23, 0.87] },
  '[1⁄16, 1⁄8]': { NCC: [93.52, 1.32], NCS: [73.43, 0.32] },
  '[1⁄32, 1⁄16]': { NCC: [91.69, 4.12], NCS: [73.66, 0.36] },
};

/** Pearson's r: of reconstruction and contrastive loss (Fig. 2c), and of 1 − MSE and target scores (Fig. 3). */
export const PAPER_CORRELATIONS = { contrastive: 0.93, NCC: 0.82, NCS: 0.88 } as const;
