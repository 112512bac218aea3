#!/usr/bin/env node
import './guard.js';

const { main } = await import('./main.ts');
await main(process.argv);
