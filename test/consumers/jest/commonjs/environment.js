// Jest's own `require` can't load an ES module before Node 24.9, that of Node can: it loads the package, once a process.
const { TestEnvironment } = require('jest-environment-node');
const interproc = require('interproc');

module.exports = class extends TestEnvironment {
  async setup() {
    await super.setup();
    this.global.interproc = interproc;
  }
};
