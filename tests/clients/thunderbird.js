/* What tests ask Thunderbird to do, run inside it with its own rights: its own parts, called as its windows call them. */

const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { NetUtil } = ChromeUtils.importESModule("resource://gre/modules/NetUtil.sys.mjs");
const creation = name => ChromeUtils.importESModule(`resource:///modules/accountcreation/${name}.sys.mjs`)[name];
const flags = Ci.nsMsgFolderFlags;
const SECONDS = 30;

/** A promise of an operation that tells its end to an nsIUrlListener, or to a copy listener. */
function ended(begin) {
  return new Promise((resolve, reject) => {
    const end = status => (Components.isSuccessCode(status) ? resolve() : reject(new Error(`status ${status.toString(16)}`)));
    begin({
      QueryInterface: ChromeUtils.generateQI(["nsIUrlListener", "nsIMsgCopyServiceListener"]),
      OnStartRunningUrl() {},
      OnStopRunningUrl: (_, status) => end(status),
      onStartCopy() {},
      onProgress() {},
      setMessageKey() {},
      getMessageId: () => null,
      onStopCopy: end,
    });
  });
}

/** Looks again until it is true: what comes by itself (IDLE) tells nobody else. False: not in that time. */
async function comes(look, seconds) {
  for (const begun = Date.now(); !look(); ) {
    if (Date.now() - begun > seconds * 1000) {
      return false;
    }
    await new Promise(resolve => window.setTimeout(resolve, 20));
  }
  return true;
}

async function until(what, look) {
  if (!(await comes(look, SECONDS))) {
    throw new Error(`${what} did not come`);
  }
}

const server = () => MailServices.accounts.defaultAccount.incomingServer;
const inbox = () => server().rootFolder.getFolderWithFlags(flags.Inbox);

function folder(path) {
  return path.split("/").reduce((parent, name) => parent.getChildNamed(name), server().rootFolder);
}

/** How many octets a message has, and their digest, without the lines that Thunderbird's own store puts above and below. */
async function octets(where, one) {
  const uri = where.getUriForMsg(one);
  let text = "";
  await new Promise((resolve, reject) => {
    const listener = {
      QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
      onStartRequest() {},
      onDataAvailable(_, stream, __, count) {
        text += NetUtil.readInputStreamToString(stream, count);
      },
      onStopRequest: (_, status) => (Components.isSuccessCode(status) ? resolve() : reject(new Error(status.toString(16)))),
    };
    MailServices.messageServiceFromURI(uri).streamMessage(uri, listener, null, null, false, "", false);
  });
  text = text.replace(/^(X-Mozilla-\w+: [^\n]*\n)+/, "").replace(/[\r\n]+$/, "").replace(/^>+From /gm, "From ");
  const stream = Cc["@mozilla.org/io/string-input-stream;1"].createInstance(Ci.nsIStringInputStream);
  stream.setByteStringData(text);
  const digest = Cc["@mozilla.org/security/hash;1"].createInstance(Ci.nsICryptoHash);
  digest.init(Ci.nsICryptoHash.SHA256);
  digest.updateFromStream(stream, text.length);
  return [text.length, digest.finish(true)];
}

const hub = () => Services.wm.getMostRecentWindow("mail:3pane");

/** The window's own list of messages, as it shows a folder. */
async function pane(path) {
  await until("the window", () => hub().gTabmail?.currentAbout3Pane?.displayFolder);
  const one = hub().gTabmail.currentAbout3Pane;
  const where = folder(path);
  if (one.gFolder != where) {
    one.displayFolder(where);
  }
  await until(`the list of ${path}`, () => one.gFolder == where && one.gDBView);
  return one;
}

const messages = where => [...where.messages];
const subjects = where => messages(where).map(one => one.mime2DecodedSubject).sort();

function message(where, subject) {
  const found = messages(where).find(one => one.mime2DecodedSubject == subject);
  if (!found) {
    throw new Error(`no ${subject} in ${where.name}: ${subjects(where)}`);
  }
  return found;
}

this.thunderbird = {
  /** Trusted as one that an admin puts in by a policy. */
  trust(pem) {
    const text = pem.replace(/-----[^-]+-----|\s/g, "");
    Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(text, "CT,C,C");
  },

  /**
   * What its "account hub" does: find the settings, fill them in, log in with them, keep them. `socket`: of the found servers those
   * with this security; `port`: another one for IMAP, without TLS.
   */
  async setUp(address, password, socket, port) {
    const abort = new AbortController();
    const found = creation("FindConfig").parallelAutoDiscovery(address.split("@")[1], address, abort.signal, password, null);
    const { value: config } = await found.next();
    const told = `${config.subSource}\n${config}`;
    if (socket) {
      for (const way of ["incoming", "outgoing"]) {
        config[way] = [config[way], ...config[`${way}Alternatives`]].find(one => one.socketType == Ci.nsMsgSocketType[socket]);
      }
    }
    if (port) {
      Object.assign(config.incoming, { port, socketType: Ci.nsMsgSocketType.plain });
    }
    const AccountConfig = creation("AccountConfig");
    AccountConfig.replaceVariables(config, "Somebody", address, password);
    config.rememberPassword = true;
    const { ConfigVerifier } = ChromeUtils.importESModule("resource:///modules/accountcreation/ConfigVerifier.sys.mjs");
    await new ConfigVerifier(hub().msgWindow, abort.signal).verifyConfig(config, false);
    const account = await creation("CreateInBackend").createAccountInBackend(config);
    MailServices.accounts.defaultAccount = account;
    account.incomingServer.getNewMessages(account.incomingServer.rootFolder, hub().msgWindow, null);
    await until("INBOX", () => inbox());
    return told;
  },

  folders: () => server().rootFolder.descendants.map(one => one.localizedName).sort(),

  /** Shows a folder, which leaves it open: IDLE tells of what comes next. */
  async open(path) {
    await pane(path);
  },

  /** "Get messages", as its timer asks for them every ten minutes. */
  look(path) {
    server().getNewMessages(folder(path), hub().msgWindow, null);
  },

  /** What is shown now; `count`: once it is so many. */
  async shown(path, count) {
    await until(`${count} messages`, () => messages(folder(path)).length >= count);
    return subjects(folder(path));
  },

  comes: (path, subject, seconds = SECONDS) => comes(() => subjects(folder(path)).includes(subject), seconds),

  async goes(path, subject) {
    await until(`the end of ${subject}`, () => !subjects(folder(path)).includes(subject));
  },

  /** Commands of its window with a message chosen: cmd_markAsFlagged, cmd_deleteMessage ... */
  async command(path, subject, name) {
    const one = await pane(path);
    await until(subject, () => subjects(folder(path)).includes(subject));
    one.threadTree.selectedIndex = one.gDBView.findIndexOfMsgHdr(message(folder(path), subject), true);
    if (!one.commandController.isCommandEnabled(name)) {
      throw new Error(`${name} is not enabled`);
    }
    one.commandController.doCommand(name);
  },

  tag(path, subject, keyword) {
    folder(path).addKeywordsToMessages([message(folder(path), subject)], keyword);
  },

  async marks(path, subject, wanted) {
    const seen = () => {
      const one = message(folder(path), subject);
      const found = one.getStringProperty("keywords").split(" ").filter(Boolean);
      return [one.isRead && "read", one.isFlagged && "starred", one.flags & Ci.nsMsgMessageFlags.Replied && "answered", ...found].filter(Boolean);
    };
    await until(`${wanted} of ${subject}`, () => wanted.every(name => seen().includes(name)));
    return seen();
  },

  async transfer(from, subject, to, move) {
    const listener = begin => MailServices.copy.copyMessages(folder(from), [message(folder(from), subject)], folder(to), move, begin, hub().msgWindow, false);
    await ended(listener);
  },

  async create(name) {
    server().rootFolder.createSubfolder(name, hub().msgWindow);
    await until(name, () => server().rootFolder.containsChildNamed(name));
  },

  async rename(path, name) {
    folder(path).rename(name, hub().msgWindow);
    await until(name, () => server().rootFolder.containsChildNamed(name));
  },

  /** Written and sent as from its own window, with a copy in Sent. */
  async send(to, subject, text, file) {
    const parameters = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
    parameters.composeFields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
    parameters.identity = MailServices.accounts.defaultAccount.defaultIdentity;
    parameters.format = Ci.nsIMsgCompFormat.PlainText;
    const compose = MailServices.compose.initCompose(parameters);
    Object.assign(compose.compFields, { to, subject, body: text, from: parameters.identity.email });
    if (file) {
      const one = Cc["@mozilla.org/messengercompose/attachment;1"].createInstance(Ci.nsIMsgAttachment);
      one.url = `file://${file}`;
      one.name = file.split("/").pop();
      compose.compFields.addAttachment(one);
    }
    await compose.sendMsg(Ci.nsIMsgCompDeliverMode.Now, parameters.identity, MailServices.accounts.defaultAccount.key, null);
  },

  /** A message's octets, from its own store where they are: how many, and their digest. */
  async source(path, subject) {
    return octets(folder(path), message(folder(path), subject));
  },

  /** All of a folder into its own store; what it holds then, by UID. */
  async download(path) {
    const where = folder(path);
    await ended(listener => where.downloadAllForOffline(listener, hub().msgWindow));
    await until("the store", () => messages(where).every(one => one.flags & Ci.nsMsgMessageFlags.Offline));
    const kept = {};
    for (const one of messages(where)) {
      kept[one.messageKey] = await octets(where, one);
    }
    return kept;
  },

  /** Found by the server, in texts. */
  search(path, text) {
    const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
    session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folder(path));
    const term = session.createTerm();
    term.attrib = Ci.nsMsgSearchAttrib.Body;
    term.op = Ci.nsMsgSearchOp.Contains;
    term.value = Object.assign(term.value, { attrib: Ci.nsMsgSearchAttrib.Body, str: text });
    session.appendTerm(term);
    const found = [];
    return new Promise(resolve => {
      session.registerListener({
        QueryInterface: ChromeUtils.generateQI(["nsIMsgSearchNotify"]),
        onNewSearch() {},
        onSearchHit: one => found.push(one.mime2DecodedSubject),
        onSearchDone: () => resolve(found.sort()),
      });
      session.search(hub().msgWindow);
    });
  },

  /** Of the folder's quota roots: name, used, limit in KiB. */
  quota: path => folder(path).QueryInterface(Ci.nsIMsgImapMailFolder).getQuota().map(one => [one.name, Number(one.usage), Number(one.limit)]),
};
