/** Of this package, for models to carry; here and not from package.json, which graphs in a browser cannot read. */
export const version = '0.1.0';
