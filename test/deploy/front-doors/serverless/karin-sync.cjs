// The framework looks for plugins in the service's own folder.
module.exports = require('../../../../examples/broadcast/karin-sync.cjs');
