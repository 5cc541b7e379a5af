// Prints where the headers of node-addon-api are: in a checkout its own package, in an installed
// package (which depends on node-gyp-build alone) the copy that packing put beside this file.
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const packed = join(__dirname, 'node-addon-api');
console.log(existsSync(packed) ? packed : require('node-addon-api').include_dir);
