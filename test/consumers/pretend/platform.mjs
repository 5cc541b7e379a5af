// For `node --import`: this process takes itself for one on PRETEND_PLATFORM (and PRETEND_ARCH).
const { PRETEND_PLATFORM: platform, PRETEND_ARCH: arch } = process.env;
if (platform) Object.defineProperty(process, 'platform', { value: platform });
if (arch) Object.defineProperty(process, 'arch', { value: arch });
