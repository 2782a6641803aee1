// A real browser, headless Chromium, with a person in front of it who signs in wherever a page asks.
//
// It prints "READY <address>" and takes there POST {url, login, password, deny}: it opens url in a browser that knows
// nobody, signs in, allows what is asked (or denies it), and answers {url, text}: where the browser ended, and what that
// page says. It ends when its standard input does.
import http from 'node:http';
import { chromium } from 'playwright-core';

const patience = 20000; // milliseconds, for one step
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium-headless-shell',
  timeout: 3 * patience,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
  ],
});

// visit goes through the pages by their ids until there is nothing left to press.
async function visit({ url, login = 'alice', password = '', deny = false }) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true }); // an authority of a test's own
  context.setDefaultTimeout(patience);
  try {
    const page = await context.newPage();
    const has = async (id) => (await page.locator(id).count()) > 0;
    // Chromium gives a page up when an interface of this machine comes or goes, as those of other tests do. A person
    // reloads it then.
    const loaded = async (move) => {
      for (let again = 3; ; again -= 1) {
        try {
          return await move();
        } catch (err) {
          if (again === 0 || !err.message.includes('net::ERR_NETWORK_CHANGED')) throw err;
          move = () => page.reload();
        }
      }
    };
    const press = (id) => loaded(() => Promise.all([page.waitForNavigation(), page.click(id)]));
    await loaded(() => page.goto(url));
    for (let steps = 0; steps < 10; steps += 1) {
      if (await has('#allow')) {
        await press(deny ? '#deny' : '#allow');
      } else if (await has('#go')) {
        if (await has('#login')) await page.fill('#login', login);
        if (await has('#password')) await page.fill('#password', password);
        await press('#go');
      } else {
        return { url: page.url(), text: await page.innerText('body') };
      }
    }
    throw new Error(`the pages do not end; this is ${page.url()}`);
  } finally {
    await context.close();
  }
}

async function answer(req, res) {
  let asked = '';
  for await (const part of req) asked += part;
  try {
    res.end(JSON.stringify(await visit(JSON.parse(asked))));
  } catch (err) {
    res.writeHead(500).end(String(err.message));
  }
}

const server = http.createServer((req, res) => { answer(req, res); });
server.listen(0, '127.0.0.1', () => console.log(`READY http://127.0.0.1:${server.address().port}`));
process.stdin.on('end', async () => {
  await browser.close();
  process.exit(0);
}).resume();
