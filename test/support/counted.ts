/** vitest ends its processes by SIGTERM, which would lose what they counted (npm run coverage). */
process.on('SIGTERM', () => process.exit());
