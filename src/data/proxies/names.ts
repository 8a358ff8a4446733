/** The proxy tasks: what a network is pre-trained to do. */
export const PROXIES = ['parts2whole', 'genesis'] as const;
export type ProxyName = (typeof PROXIES)[number];

/** What a method is called, and what it does, with its source. */
export const METHODS: Readonly<Record<ProxyName, { readonly name: string; readonly description: string }>> = {
  parts2whole: {
    name: 'Parts2Whole',
    description: 'Parts2Whole (Feng et al. 2020): self-supervised contrastive learning via reconstruction',
  },
  genesis: {
    name: 'Models Genesis',
    description: 'Models Genesis (Zhou et al. 2019): self-supervised restoration of corrupted images',
  },
};
