/** For picture.test.ts: a conversation whose last answer is cited from a picture, four fields of one colour each. */
import type { Answer } from '../../src/answer/answer.js';
import type { ChatSession } from '../../src/ui/chat-session.js';
import { chatScreen } from '../../src/ui/chat-view.js';
import { pictureLook } from '../../src/ui/picture/terminal.js';
import { fields } from './picture-fields.js';

const citation = { source: 'film.mp4', time: [75, 76], quote: 'what was said then', verified: false } as const;
const session = {
  cited: () => ({ citation, text: null, image: fields(400, 240) }),
  answers: [{ citations: [citation] } as unknown as Answer],
} as unknown as ChatSession;
const screen = chatScreen(process.stdout, await pictureLook(process.stdin, process.stdout), new AbortController().signal);
await screen.talk(session);
await screen.close();
