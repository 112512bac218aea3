/**
 * A plugin of serverless.yml: gives every file of a function's zip the mode 0644.
 *
 * The zips take the modes of the files on disk, which are those of the checkout and of whoever packages.
 * Under a umask of 027 or 077 Lambda, which runs as a user of its own, cannot read its own code (EACCES
 * at its start), and under 002 the hashes differ from everybody else's. Nothing in a zip is executed by
 * its name: bundles are required, addons are opened.
 */
const { readFileSync, writeFileSync } = require('node:fs');
const { resolve } = require('node:path');

/** Of PKWARE's APPNOTE.TXT: sections 4.3.12 (an entry of the directory) and 4.3.16 (its end). */
const ENTRY_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;
const ENTRY_BYTES = 46;
const END_BYTES = 22;
/** The upper half of an entry's attributes: a regular file that its owner writes and everybody reads. */
const ATTRIBUTES = 0o100644 * 2 ** 16;
/** "Made by" a Unix, in whose zips the upper half is a mode. */
const UNIX = 3;

/** Changes the directory at the end of `zip` in place: no byte of a file, nor its place, is touched. */
function makeReadable(zip, name) {
  // The packer writes no comment, so the end of the directory is the end of the file.
  const end = zip.length - END_BYTES;
  if (end < 0 || zip.readUInt32LE(end) !== END_SIGNATURE) throw new Error(`${name} is no zip`);
  const count = zip.readUInt16LE(end + 10);
  let at = zip.readUInt32LE(end + 16);
  for (let index = 0; index < count; index++) {
    if (zip.readUInt32LE(at) !== ENTRY_SIGNATURE) throw new Error(`${name}: no entry ${index}`);
    zip.writeUInt8(UNIX, at + 5);
    zip.writeUInt32LE(ATTRIBUTES, at + 38);
    const variable = [28, 30, 32].reduce((sum, field) => sum + zip.readUInt16LE(at + field), 0);
    at += ENTRY_BYTES + variable;
  }
}

module.exports = class ReadableZips {
  constructor(serverless) {
    const run = () => {
      for (const { package: packed } of Object.values(serverless.service.functions)) {
        // `deploy function` packages one of them.
        if (packed?.artifact === undefined) continue;
        const path = resolve(serverless.serviceDir, packed.artifact);
        const zip = readFileSync(path);
        makeReadable(zip, path);
        writeFileSync(path, zip);
      }
    };
    this.hooks = {
      'after:package:createDeploymentArtifacts': run,
      'after:deploy:function:packageFunction': run,
    };
  }
};
