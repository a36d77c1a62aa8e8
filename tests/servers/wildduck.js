// WildDuck's POP3 server over a folder of messages: node wildduck.js PACKAGES FOLDER, where PACKAGES holds wildduck and what
// its class needs.  Prints its port; serves joe, whose password is secret; ends with its standard input.
'use strict';

const fs = require('fs');
const path = require('path');
const Module = require('module');
const [packages, folder] = process.argv.slice(2);

// What it only reports errors with.
const load = Module._load;
Module._load = function (name, ...rest) {
    if (name === 'wild-config') return {};
    if (name === 'gelf') return class {};
    return load.call(this, name, ...rest);
};
const Server = require(path.join(packages, 'wildduck', 'lib', 'pop3', 'server.js'));
const silent = () => {};

const server = new Server({
    disableSTARTTLS: true,
    ignoreSTARTTLS: true,
    logger: { info: silent, debug: silent, error: silent },
    onAuth(auth, session, callback) {
        const known = auth.username === 'joe' && auth.password === 'secret';
        callback(null, known ? { user: { id: 'joe', username: 'joe' } } : {});
    },
    onListMessages(session, callback) {
        const messages = fs.readdirSync(folder).sort().map(id => {
            return { id, uid: id, mailbox: 'INBOX', size: fs.statSync(path.join(folder, id)).size, seen: false };
        });
        callback(null, { messages, count: messages.length, size: messages.reduce((sum, one) => sum + one.size, 0) });
    },
    onFetchMessage(message, session, callback) {
        callback(null, fs.createReadStream(path.join(folder, message.id)));
    },
    onUpdate(update, session, callback) {
        update.deleted.forEach(message => fs.unlinkSync(path.join(folder, message.id)));
        callback(null, {});
    }
});
server.loggelf = silent;
server.on('error', silent);
server.listen(0, '127.0.0.1', () => console.log(server.server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
