/**
 * The graph library in a function's zip: what `hnswlib-node` exports, for the processor that this is.
 * Bundles reach it as `../layers/hnswlib/index.cjs`; a zip holds the folder of one architecture only.
 */
module.exports = require(`./${process.arch}/index.cjs`);
