/** One binary: every processor of this architecture has NEON. */
module.exports = require('./addon.node');
