import { $ } from './dom.js';
import { lead } from './store.js';

const receipt = lead.get();
if (receipt) {
  $('#receipt').textContent = `Your reference: ${receipt}`;
  $('#receipt').hidden = false;
}
