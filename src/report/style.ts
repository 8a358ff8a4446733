/**
 * The report's style sheet. Blue and orange of similar weight stay apart for every kind of colour vision
 * and in grey; dark colours are for screens only, so that paper is always black on white.
 */
export const STYLE = `
:root {
  --paper: #ffffff; --panel: #f6f7f8; --ink: #1a1e23; --soft: #59636e; --rule: #dfe3e7;
  --first: #0a66a8; --second: #c4560a; --third: #2e7d32; --fourth: #8e3a9d; --reference: #4a545e;
}
@media screen { :root { color-scheme: light dark; } }
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --panel: #1d2126; --ink: #e8eaed; --soft: #a3adb8; --rule: #353b42;
    --first: #6db9f0; --second: #f2994a; --third: #81c995; --fourth: #d79be3; --reference: #b4bec8;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 64rem; padding: 2.5rem 1.25rem 3rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
h1 { font-size: clamp(1.6rem, 5vw, 2.3rem); line-height: 1.15; letter-spacing: -.02em; margin: .2rem 0 .4rem; text-wrap: balance; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; line-height: 1.25; letter-spacing: -.01em; margin: 3.2rem 0 .4rem; padding-top: 1.1rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; line-height: 1.35; margin: 0 0 .35rem; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; max-width: 44rem; }
.kicker, time { color: var(--soft); font-size: .875rem; margin: 0; }
.kicker { color: var(--first); font-weight: 600; letter-spacing: .02em; }
.lead { margin-top: 1.2rem; font-size: 1.0625rem; }
.absent { color: var(--soft); font-style: italic; padding: 1.5rem 0; }

.headline { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.8rem 0 0; }
.headline > div { background: var(--panel); border-radius: .5rem; padding: .85rem 1rem .9rem; display: grid; grid-row: span 3; grid-template-rows: subgrid; row-gap: 0; }
.headline dt { font-size: .8125rem; line-height: 1.35; color: var(--soft); align-self: end; }
.headline dd { margin: 0; overflow-wrap: anywhere; }
.headline dd.value { font-size: 1.6rem; line-height: 1.25; font-weight: 650; letter-spacing: -.02em; margin-top: .15rem; }
.headline dd.note { font-size: .8125rem; line-height: 1.4; color: var(--soft); margin-top: .15rem; }

.pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 2rem 2.25rem; margin-top: 1.4rem; }
figure { margin: 0; min-width: 0; }
.pair > figure { display: grid; grid-row: span 3; grid-template: subgrid / minmax(0, 1fr); row-gap: 0; align-content: start; }
.drawing { align-self: end; }
figcaption { font-size: .875rem; line-height: 1.5; color: var(--soft); margin-top: .5rem; max-width: 44rem; }
.planes { display: block; width: 100%; height: auto; background: #000; border-radius: 2px; }
.sample figcaption { font-size: 1rem; line-height: 1.35; font-weight: 700; color: var(--ink); overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; list-style: none; margin: 0 0 .5rem; padding: 0; font-size: .8125rem; color: var(--soft); }
.legend li { display: flex; align-items: center; gap: .4rem; }
.swatch { width: 1.375rem; height: .625rem; flex: none; }

.chart { display: block; width: 100%; height: auto; overflow: visible; font-size: 12px; }
.chart text { fill: var(--soft); }
.chart .name { fill: var(--ink); stroke: var(--paper); stroke-width: 3; stroke-linejoin: round; paint-order: stroke; }
.across text { text-anchor: middle; }
.up text, .axis.x, .name.end { text-anchor: end; }
.grid path { stroke: var(--rule); stroke-width: 1; fill: none; }
.grid .foot { stroke: var(--soft); }
.mark { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.mark.first { stroke: var(--first); }
.mark.second { stroke: var(--second); }
.mark.third { stroke: var(--third); stroke-dasharray: 7 3; }
.mark.fourth { stroke: var(--fourth); stroke-dasharray: 2 3; }
path.mark.interval { stroke-width: 1.2; stroke-opacity: .5; stroke-dasharray: none; }
.mark.faint { stroke: var(--second); stroke-opacity: .32; stroke-width: 1; }
.mark.reference { stroke: var(--reference); stroke-width: 1.4; stroke-dasharray: 6 4; stroke-linecap: butt; }
.mark.trail { stroke: var(--reference); stroke-width: 1.4; stroke-dasharray: .1 4; }
circle.mark.first { fill: var(--first); stroke: var(--paper); stroke-width: 1; }
circle.mark.second { fill: var(--second); stroke: var(--paper); stroke-width: 1; }
circle.mark.reference { fill: var(--reference); stroke: var(--paper); stroke-width: 1; stroke-dasharray: none; }
circle.mark.third { fill: var(--third); stroke: var(--paper); stroke-width: 1; }
circle.mark.fourth { fill: var(--fourth); stroke: var(--paper); stroke-width: 1; }
.filled { fill-opacity: .22; stroke-width: 1.4; }
.filled.first { fill: var(--first); }
.filled.second { fill: var(--second); stroke-dasharray: 4 2.5; }

.scroll {
  overflow-x: auto; overscroll-behavior-x: contain; margin-top: .6rem;
  /* A shadow at an edge that has more behind it; covers that move with the content hide it at the end. */
  background:
    linear-gradient(to right, var(--paper) 60%, transparent) 0 0 / 2.4rem 100% no-repeat local,
    linear-gradient(to left, var(--paper) 60%, transparent) 100% 0 / 2.4rem 100% no-repeat local,
    linear-gradient(to right, var(--soft), transparent) 0 0 / .5rem 100% no-repeat scroll,
    linear-gradient(to left, var(--soft), transparent) 100% 0 / .5rem 100% no-repeat scroll;
}
.scroll:focus-visible { outline: 2px solid var(--first); outline-offset: 3px; }
table { border-collapse: collapse; font-size: .875rem; }
th { font-weight: 600; text-align: left; }
.numbers th, .numbers td { padding: .35rem 1.4rem .35rem 0; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
.numbers th:first-child { text-align: left; }
.numbers.steps th:first-child { text-align: right; }
.numbers thead th { color: var(--soft); vertical-align: bottom; }
.numbers tbody th, .numbers td { font-weight: 400; }
.facts th { font-weight: 400; color: var(--soft); padding: .25rem 1.4rem .25rem 0; vertical-align: top; }
.facts td { padding: .25rem 0; overflow-wrap: anywhere; }
.facts td:not(:last-child) { padding-right: 1.4rem; }
.scroll + h3 { margin-top: 1.2rem; }
.sample { margin-top: 1.8rem; }
.slices th, .slices td { padding: 0 .5rem .5rem 0; vertical-align: middle; }
.slices thead th { font-size: .8125rem; line-height: 1.3; vertical-align: bottom; padding-bottom: .35rem; white-space: nowrap; }
.slices thead small, .slices tbody th { font-size: .75rem; font-weight: 400; color: var(--soft); }
.slices small { display: block; }
.slices img { display: block; image-rendering: pixelated; background: #000; border-radius: 2px; }
.slices :not(.answer) + .answer { padding-left: .6rem; border-left: 1px solid var(--rule); }
details { margin-top: 1.2rem; }
summary { cursor: pointer; font-weight: 600; padding: .3rem 0; }
footer { margin-top: 3.5rem; padding-top: 1.1rem; border-top: 1px solid var(--rule); font-size: .8125rem; color: var(--soft); }
footer p { margin-bottom: .5rem; }

@media (min-width: 56rem) { .chart { font-size: 10.5px; } }
@media print {
  :root { --ink: #000; --soft: #333; --panel: #fff; }
  @page { size: A4; margin: 15mm 13mm; }
  html { font-size: 12.5px; }
  body { max-width: none; padding: 0; }
  h2 { margin-top: 1.8rem; }
  h2, section > p { break-after: avoid; }
  p, figure, .headline > div, tr { break-inside: avoid; }
  .headline > div { border: 1px solid var(--rule); }
  .pair { grid-template-columns: 1fr 1fr; gap: 1.2rem 1.6rem; }
  .scroll { overflow: visible; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .slices { width: 100%; table-layout: fixed; }
  .slices tbody th, .slices thead td { width: 14mm; }
  .slices thead th { white-space: normal; }
  .slices img { width: 100%; max-width: 17mm; height: auto; }
}
`;
