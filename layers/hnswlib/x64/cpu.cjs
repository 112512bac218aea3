/**
 * What x86-64-v3 demands, under the names that Linux gives: those of v2 and then its own. Linux leaves
 * the AVX ones out where it does not save their registers.
 */
const X64_V3 = [
  ...['cx16', 'lahf_lm', 'pni', 'popcnt', 'sse4_1', 'sse4_2', 'ssse3'],
  ...['abm', 'avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'movbe', 'xsave'],
];

/** Whether the text of /proc/cpuinfo lists all of x86-64-v3. A text without flags does not. */
function hasX64V3(cpuInfo) {
  const line = /^flags\s*:(.*)$/m.exec(cpuInfo);
  if (line === null) return false;
  const flags = new Set(line[1].split(' '));
  return X64_V3.every((flag) => flags.has(flag));
}

module.exports = { hasX64V3 };
