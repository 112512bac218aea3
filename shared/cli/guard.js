// Plain JavaScript, so that a Node too old for the rest can still read it and say so.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const recent = major > 22 || (major === 22 && minor >= 18);
if (!recent) {
  process.stderr.write(
    `Sterna needs Node 24 (22.18 at the least) and this is Node ${process.versions.node}.\n` +
      'On Linux x64 and arm64 `npm ci` installs the right one beside the project, and `npm start`, `npm test` and\n' +
      '`npx sterna` find it by themselves: run those instead of calling `node` directly. If you did, then npm left\n' +
      'out the optional packages (`--omit=optional`?); elsewhere install Node 24 and try again.\n',
  );
  process.exit(1);
}
