/**
 * The faster binary where the kernel lists every instruction set that it was compiled for. Elsewhere it
 * would kill the process without a word.
 */
const { readFileSync } = require('node:fs');
const { hasX64V3 } = require('./cpu.cjs');

function cpuInfo() {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return '';
  }
}

module.exports = hasX64V3(cpuInfo()) ? require('./addon-v3.node') : require('./addon.node');
