import { busContract } from '@bintrail/runtime/bus.contract.ts';
import { open } from './contract.adapter.ts';
import { kafkaForTests } from './for-tests.ts';

await kafkaForTests();
busContract({ name: 'kafka', open, module: new URL('./contract.adapter.ts', import.meta.url), takesOver: false });
